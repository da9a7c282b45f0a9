/* The start: theme, routing, the shell. */
import './tokens.css';
import './theme.css';
import { render } from 'preact';
import { ahead } from './api/client';
import { onChange } from './api/live';
import { newestAhead } from './api/runs';
import { App } from './app';
import { path, query, startRouting } from './state/url';

/* the icon is named relative to the page, and a browser looks again when the address changes: name it in full */
const icon = document.querySelector<HTMLLinkElement>('link[rel=icon]');
if (icon)
	icon.href = icon.href;

startRouting();
if (/^\/(experiments\/?)?$/.test(path.value) && !query.value.has('archived'))
	ahead('tallyd/experiments', { view_type: 'ACTIVE_ONLY', counts: 'false' });
const runsOf = /^\/experiments\/([\d,]+)(?:\/runs)?\/?$/.exec(path.value);
if (runsOf && !['q', 'sort', 'life', 'v', 'group'].some((name) => query.value.has(name)))
	newestAhead(runsOf[1]!.split(',').filter(Boolean));
render(<App />, document.getElementById('app')!);
/* the stream opens after the first paint, so that it never holds the page up */
setTimeout(() => onChange(() => undefined), 300);

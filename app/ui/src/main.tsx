/* The start: theme, routing, the shell. */
import './tokens.css';
import './theme.css';
import { render } from 'preact';
import { onChange } from './api/live';
import { App } from './app';
import { startRouting } from './state/url';

startRouting();
render(<App />, document.getElementById('app')!);
/* the stream opens after the first paint, so that it never holds the page up */
setTimeout(() => onChange(() => undefined), 300);

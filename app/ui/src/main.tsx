/* The start: theme, routing, the shell. */
import './tokens.css';
import './theme.css';
import { render } from 'preact';
import { startRouting } from './state/url';

startRouting();
render(<p>tallyd</p>, document.getElementById('app')!);

/* The shell: top bar, the page, dialogs, toasts, the bar that shows something takes longer. */
import { signal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import { liveState } from './api/live';
import { pending } from './api/client';
import { AskDialog } from './components/dialog';
import { Icon } from './components/icon';
import { KeysHelp, keysShown } from './components/keys';
import { lazy } from './components/lazy';
import { Toasts } from './components/toast';
import { routeOf } from './routes';
import { href, path } from './state/url';
import { isDark, setTheme } from './state/theme';

const LONG_MS = 500;
const jumping = signal(false);
const Jump = lazy<{ onClose: () => void }>(() => import('./components/jump'));

export function App() {
	const { page: Page, parts, nav } = routeOf(path.value);
	useEffect(() => {
		const keys = (event: KeyboardEvent) => {
			const typing = event.target instanceof HTMLElement && (/^(input|textarea|select)$/i.test(event.target.tagName) || event.target.isContentEditable);
			if ((event.ctrlKey || event.metaKey) && event.key === 'k') {
				event.preventDefault();
				jumping.value = true;
			} else if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) {
				return;
			} else if (event.key === '?') {
				event.preventDefault();
				keysShown.value = true;
			} else if (event.key === '/') {
				const field = document.querySelector<HTMLInputElement>('[data-filter]');
				event.preventDefault();
				if (field)
					field.focus();
				else
					jumping.value = true;
			}
		};
		addEventListener('keydown', keys);
		return () => removeEventListener('keydown', keys);
	}, []);
	return (
		<>
			<a class="skip" href="#main" onClick={(e) => { e.preventDefault(); document.querySelector<HTMLElement>('main')?.focus(); }}>Skip to the content</a>
			<header class="top">
				<a class="brand" href={href('/experiments')} aria-label="tallyd, experiments"><Icon name="brand" /><span class="hide-narrow">tallyd</span></a>
				<nav aria-label="Sections">
					<a href={href('/experiments')} aria-current={nav === 'experiments' ? 'page' : undefined}>Experiments</a>
					<a href={href('/models')} aria-current={nav === 'models' ? 'page' : undefined}>Models</a>
				</nav>
				<span class="grow" />
				<span class="live hide-narrow" data-state={liveState.value} title={liveState.value === 'live' ? 'Changes appear as they are committed' : liveState.value === 'polling' ? 'This browser asks every five seconds' : liveState.value === 'offline' ? 'The stream is down; trying again' : 'Connecting to the server'}>{liveState.value === 'live' ? 'Live' : liveState.value === 'polling' ? 'Every 5 s' : liveState.value === 'offline' ? 'Offline' : 'Connecting'}</span>
				<button type="button" class="jump hide-narrow" onClick={() => { jumping.value = true; }}><span>Find experiments, models, runs</span><kbd>Ctrl K</kbd></button>
				<button type="button" class="btn quiet only-narrow" aria-label="Find" onClick={() => { jumping.value = true; }}><Icon name="search" /></button>
				<span class="hide-narrow"><ThemeButton /></span>
				<a class="btn quiet" href={href('/settings')} aria-current={nav === 'settings' ? 'page' : undefined}>Settings</a>
			</header>
			<Busy />
			<main id="main" tabIndex={-1}><Page parts={parts} key={parts.join('/') + nav} /></main>
			<Toasts />
			<AskDialog />
			{keysShown.value && <KeysHelp />}
			{jumping.value && <Jump onClose={() => { jumping.value = false; }} />}
		</>
	);
}

function ThemeButton() {
	const dark = isDark.value;
	return <button type="button" class="btn quiet" aria-label={dark ? 'Light theme' : 'Dark theme'} title={dark ? 'Light theme' : 'Dark theme'} onClick={() => setTheme(dark ? 'light' : 'dark')}><Icon name={dark ? 'sun' : 'moon'} /></button>;
}

function Busy() {
	const [long, setLong] = useState(false);
	const some = pending.value > 0;
	useEffect(() => {
		if (!some) {
			setLong(false);
			return;
		}
		const timer = setTimeout(() => setLong(true), LONG_MS);
		return () => clearTimeout(timer);
	}, [some]);
	return long ? <div class="busy" role="progressbar" aria-label="Loading" /> : null;
}

/* The theme: the system's unless chosen. boot/theme.js sets it before the first paint and when it changes. */
import { signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'tallyd.theme';

export const isDark = signal(document.documentElement.dataset.theme === 'dark');
addEventListener('themechange', () => { isDark.value = document.documentElement.dataset.theme === 'dark'; });

export function themeChosen(): Theme {
	const stored = recall(KEY);
	return stored === 'light' || stored === 'dark' ? stored : 'system';
}

export function setTheme(theme: Theme): void {
	keep(KEY, theme === 'system' ? null : theme);
	dispatchEvent(new Event('themechosen'));
}

/* Small things kept in this browser; storage may be forbidden. */
export function recall(key: string): string | null {
	try {
		return localStorage.getItem(key);
	} catch {
		return null;
	}
}

export function keep(key: string, value: string | null): void {
	try {
		if (value === null)
			localStorage.removeItem(key);
		else
			localStorage.setItem(key, value);
	} catch {
		/* then it lasts as long as the page */
	}
}

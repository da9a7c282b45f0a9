/* The CSS tokens as a canvas needs them, resolved, and again whenever the theme changes. */

import { signal } from '@preact/signals';
import { runStyle, token } from '../state/colour';

export interface Theme {
	dark: boolean;
	bg: string;
	sunk: string;
	raise: string;
	ink: string;
	ink2: string;
	ink3: string;
	line: string;
	strong: string;
	grid: string;
	accent: string;
	bad: string;
	sel: string;
	series: string[];
	ui: string;
	num: string;
	/** One CSS px of text at the reader's own size. */
	unit: number;
}

function read(): Theme {
	return {
		dark: document.documentElement.dataset.theme === 'dark',
		bg: token('--bg'),
		sunk: token('--bg-sunk'),
		raise: token('--bg-raise'),
		ink: token('--ink'),
		ink2: token('--ink-2'),
		ink3: token('--ink-3'),
		line: token('--line'),
		strong: token('--line-strong'),
		grid: token('--grid'),
		accent: token('--accent'),
		bad: token('--bad'),
		sel: token('--bg-sel'),
		series: [1, 2, 3, 4, 5, 6, 7, 8].map((i) => token(`--s${i}`)),
		ui: token('--f-ui') || 'sans-serif',
		num: token('--f-num') || 'monospace',
		unit: (parseFloat(getComputedStyle(document.documentElement).fontSize) || 16) / 16,
	};
}

export const theme = signal<Theme>(read());

const again = () => {
	theme.value = read();
};
new MutationObserver(again).observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme', 'class'] });
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => requestAnimationFrame(again));

/** What a chart needs to know of a run. */
export interface ChartRun {
	run_id: string;
	name: string;
	/** Drawn in ink instead of a series colour. */
	baseline?: boolean;
}

export interface RunStroke {
	colour: string;
	dash: readonly number[];
}

export function strokeOf(run: ChartRun, t: Theme): RunStroke {
	if (run.baseline) return { colour: t.ink, dash: [] };
	const style = runStyle(run.run_id);
	return { colour: t.series[style.slot - 1] ?? t.ink, dash: style.dash };
}

/* JSON as a tree that opens level by level; the text as it is beside it. Python's NaN and Infinity are understood. */

import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { Bar, Cut, part, sizeWord, Status, TEXT_MAX, textOf, useFile, type ViewerProps } from './frame';
import { parsePython } from './python-json';
import Sheet, { type SheetData } from './sheet';
import { Lines } from './text';

const CHILDREN = 200;

/* MLflow's log_table writes {"columns": [...], "data": [[...]]}. */
function tableOf(v: unknown): SheetData | null {
	const t = v as { columns?: unknown; data?: unknown };
	if (!t || !Array.isArray(t.columns) || !Array.isArray(t.data) || !t.data.every((r) => Array.isArray(r))) return null;
	return {
		columns: t.columns.map(String),
		rows: t.data.slice(0, 1000).map((r: unknown[]) => r.map((c) => (typeof c === 'string' ? c : JSON.stringify(c)))),
		total: t.data.length,
	};
}

export default function Json(props: ViewerProps): JSX.Element {
	const state = useFile(props, (abort) => part(props.run, props.path, 0, TEXT_MAX, abort));
	const [view, setView] = useState('');
	const text = useMemo(() => (state.value ? textOf(state.value) : ''), [state.value]);
	const parsed = useMemo(() => {
		if (!state.value?.whole) return { ok: false as const, why: '' };
		try {
			return { ok: true as const, value: parsePython(text) };
		} catch (error) {
			return { ok: false as const, why: (error as Error).message };
		}
	}, [state.value, text]);
	if (!state.value) return <Status of={state} />;
	const table = parsed.ok ? tableOf(parsed.value) : null;
	const kind = !parsed.ok ? 'text' : view || (table ? 'table' : 'tree');
	const words: [string, string][] = [...(table ? [['table', 'Table'] as [string, string]] : []), ['tree', 'Tree'], ['text', 'Text']];
	return (
		<>
			{!state.value.whole && (
				<Cut>
					First {sizeWord(state.value.bytes.length)} of {sizeWord(state.value.total)} shown as text. Download the file for the rest.
				</Cut>
			)}
			{parsed.ok ? (
				<Bar>
					<div class="seg" role="group" aria-label="How to show the file">
						{words.map(([k, word]) => (
							<button
								key={k}
								type="button"
								class={`btn small ${k === kind ? 'on' : ''}`}
								aria-pressed={k === kind}
								onClick={() => setView(k)}
							>
								{word}
							</button>
						))}
					</div>
				</Bar>
			) : (
				parsed.why && <p class="notice warn">Not valid JSON: {parsed.why}. Shown as text.</p>
			)}
			{kind === 'table' && table ? (
				<Sheet data={table} />
			) : kind === 'tree' && parsed.ok ? (
				<div class="view-tree" tabIndex={0} role="region" aria-label="JSON tree">
					<Node value={parsed.value} depth={0} />
				</div>
			) : (
				<Lines text={text} language="json" />
			)}
		</>
	);
}

function Node(props: { name?: string; value: unknown; depth: number }): JSX.Element {
	const { value, name } = props;
	const [open, setOpen] = useState(props.depth < 2);
	const [count, setCount] = useState(CHILDREN);
	const label = name === undefined ? null : <span class="tok property">{name}: </span>;
	if (value === null || typeof value !== 'object')
		return (
			<div class="leaf">
				{label}
				<span class={`tok ${value === null ? 'keyword' : typeof value}`}>{JSON.stringify(value)}</span>
			</div>
		);
	const list = Array.isArray(value);
	const entries = Object.entries(value as Record<string, unknown>);
	return (
		<div>
			<button type="button" class="fold" aria-expanded={open} onClick={() => setOpen(!open)}>
				{open ? '▾' : '▸'} {label}
				<span class="muted">{list ? `[${entries.length}]` : `{${entries.length}}`}</span>
			</button>
			{open && (
				<div class="inside">
					{entries.slice(0, count).map(([k, v]) => (
						<Node key={k} name={k} value={v} depth={props.depth + 1} />
					))}
					{entries.length > count && (
						<button type="button" class="btn small quiet" onClick={() => setCount(count + CHILDREN)}>
							{entries.length - count} more
						</button>
					)}
				</div>
			)}
		</div>
	);
}

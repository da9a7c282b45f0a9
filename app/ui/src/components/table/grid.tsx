/*
 * A table that draws what is in sight, in both directions. It knows nothing of runs: rows come by index, sorted, filtered
 * and paged by the server. Pinned columns stick to the left; on a narrow screen a row is a card instead of cells.
 */
import './grid.css';
import type { Signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Icon } from '../icon';
import { Menu } from '../menu';

export interface Column<R> {
	id: string;
	title: string;
	group: string;
	width: number;
	numeric?: boolean;
	pinned?: boolean;
	sortable?: boolean;
	fixed?: boolean;
	head?: ComponentChildren;
	cell(row: R, index: number): ComponentChildren;
}

interface Props<R> {
	label: string;
	columns: Column<R>[];
	count: number;
	row(index: number): R | undefined;
	rowKey(row: R): string;
	rowClass(row: R): string;
	rowHeight: number;
	selected(row: R): boolean;
	/* rows that stay under the head */
	sticky?: R[];
	active: Signal<number>;
	/* not null: draw cards of this height */
	card?: { height: number; draw(row: R, index: number): ComponentChildren };
	sort: { id: string; down: boolean };
	onSort(id: string, down?: boolean): void;
	onResize(id: string, width: number): void;
	/* puts a column beside another one; without it columns stay where they are */
	onMove?(id: string, beside: string, after: boolean): void;
	onSeen(rows: [number, number], columns: string[], atTop: boolean): void;
	onKey(event: KeyboardEvent): void;
	onOpen(row: R): void;
	columnMenu?(column: Column<R>, close: () => void): ComponentChildren;
	/* where to scroll: changes move the view */
	scrollTo: Signal<number>;
}

/* Browsers cap an element's height between 16 and 33 million pixels. */
const TALLEST = 12_000_000;
const OVERSCAN = 6;
const DRAG_PX = 6;
const HEAD = 50;
/* columns are made and asked for in blocks, so that sideways scrolling does not ask for one at a time */
const BLOCK = 8;

export function Grid<R>(props: Props<R>) {
	const box = useRef<HTMLDivElement>(null);
	const [view, setView] = useState({ top: 0, left: 0, width: 800, height: 600 });
	const height = props.card?.height ?? props.rowHeight;
	const sticky = props.sticky ?? [];

	useLayoutEffect(() => {
		const el = box.current!;
		let frame = 0;
		const read = () => {
			frame = 0;
			setView({ top: el.scrollTop, left: el.scrollLeft, width: el.clientWidth, height: el.clientHeight });
		};
		const soon = () => { frame ||= requestAnimationFrame(read); };
		el.addEventListener('scroll', soon, { passive: true });
		const size = new ResizeObserver(soon);
		size.observe(el);
		read();
		return () => {
			el.removeEventListener('scroll', soon);
			size.disconnect();
			cancelAnimationFrame(frame);
		};
	}, []);

	const { pinned, free, offsets, pinnedWidth, total } = useMemo(() => {
		const fixed = props.columns.filter((c) => c.pinned);
		const rest = props.columns.filter((c) => !c.pinned);
		const at = [0];
		for (const c of rest)
			at.push(at[at.length - 1]! + c.width);
		const left = fixed.reduce((sum, c) => sum + c.width, 0);
		return { pinned: fixed, free: rest, offsets: at, pinnedWidth: left, total: left + at[at.length - 1]! };
	}, [props.columns]);

	const head = props.card ? 0 : HEAD;
	const stickyHeight = sticky.length * height;
	const body = props.count * height;
	const drawn = Math.min(body, TALLEST);
	const room = Math.max(1, view.height - head - stickyHeight);
	/* above the cap the scroll position is a share of the rows rather than their pixels */
	const squeezed = body > drawn;
	const firstExact = squeezed ? (view.top / Math.max(1, drawn - room)) * (props.count - room / height) : view.top / height;
	const first = Math.max(0, Math.floor(firstExact) - OVERSCAN);
	const last = Math.min(props.count, Math.ceil(firstExact + room / height) + OVERSCAN);
	const topOf = (i: number) => (squeezed ? view.top + (i - firstExact) * height : i * height);

	const freeFrom = Math.floor(Math.max(0, upper(offsets, view.left) - 2) / BLOCK) * BLOCK;
	const freeTo = Math.min(free.length, Math.ceil((upper(offsets, view.left + Math.max(0, view.width - pinnedWidth)) + 1) / BLOCK) * BLOCK);
	const seen = free.slice(freeFrom, freeTo);
	const seenKey = props.card ? props.columns.map((c) => c.id).join('\n') : [...pinned, ...seen].map((c) => c.id).join('\n');
	const realFirst = Math.floor(firstExact);
	const realLast = Math.min(props.count, Math.ceil(firstExact + room / height));

	useEffect(() => {
		props.onSeen([realFirst, Math.max(realLast, 30)], seenKey.split('\n'), view.top < height);
	}, [realFirst, realLast, seenKey, props.count]);

	useEffect(() => {
		const i = props.scrollTo.value;
		const el = box.current;
		if (i < 0 || !el)
			return;
		if (squeezed) {
			if (i < realFirst || i >= realLast - 1)
				el.scrollTop = (i / Math.max(1, props.count - room / height)) * (drawn - room);
			return;
		}
		if (i * height < el.scrollTop)
			el.scrollTop = i * height;
		else if ((i + 1) * height > el.scrollTop + room)
			el.scrollTop = (i + 1) * height - room;
	}, [props.scrollTo.value]);

	const rowAt = (i: number, row: R | undefined, top: number | null) => {
		const active = i === props.active.value && top !== null;
		const cls = `g-row${row ? ` ${props.rowClass(row)}` : ''}${active ? ' active' : ''}${top === null ? ' stuck' : ''}`;
		return (
			<div
				key={top === null ? `s${i}` : i}
				id={top === null ? undefined : `row-${i}`}
				class={cls}
				role="row"
				aria-rowindex={i + 2}
				aria-selected={row ? props.selected(row) : undefined}
				style={{ height: `${height}px`, width: props.card ? '100%' : `${Math.max(total, view.width)}px`, ...(top === null ? {} : { transform: `translateY(${top}px)` }) }}
				onMouseDown={() => { if (top !== null) props.active.value = i; }}
				onDblClick={() => row && props.onOpen(row)}
			>
				{props.card
					? <div role="gridcell" class="g-card">{row ? props.card.draw(row, i) : <span class="skeleton g-wait" />}</div>
					: row
						? <>
							{stick(pinned).map(([c, left, edge]) => <div key={c.id} role="gridcell" class={`g-cell pin${edge ? ' edge' : ''}${c.numeric ? ' num' : ''}`} style={{ width: `${c.width}px`, left: `${left}px` }}>{c.cell(row, i)}</div>)}
							<div class="g-gap" style={{ width: `${offsets[freeFrom] ?? 0}px` }} />
							{seen.map((c, k) => <div key={c.id} role="gridcell" class={`g-cell${c.numeric ? ' num' : ''}${startsGroup(free, freeFrom + k) ? ' begins' : ''}`} style={{ width: `${c.width}px` }}>{c.cell(row, i)}</div>)}
						</>
						/* a row not read yet is one cell: a fast scroll passes thousands of them */
						: <div role="gridcell" class="g-cell g-blank" style={{ width: `${view.width}px` }}><span class="skeleton g-wait" /></div>}
			</div>
		);
	};

	const step = (c: Column<R>, by: number) => {
		const list = (c.pinned ? pinned : free).filter((x) => !x.fixed);
		const beside = list[list.indexOf(c) + by];
		if (!beside || !props.onMove)
			return;
		props.onMove(c.id, beside.id, by > 0);
		requestAnimationFrame(() => box.current?.querySelector<HTMLElement>(`.g-head[data-column="${CSS.escape(c.id)}"] .g-sort`)?.focus());
	};
	const headCell = (c: Column<R>, left: number | null, edge: boolean, begins: boolean, group: string, room = 0) => (
		<div
			key={c.id}
			role="columnheader"
			data-column={c.id}
			class={`g-head${left !== null ? ' pin' : ''}${edge ? ' edge' : ''}${c.numeric ? ' num' : ''}${begins ? ' begins' : ''}`}
			style={{ width: `${c.width}px`, ...(left !== null ? { left: `${left}px` } : {}) }}
			aria-sort={c.sortable ? (props.sort.id === c.id ? (props.sort.down ? 'descending' : 'ascending') : 'none') : undefined}
		>
			<span class="g-group" style={{ width: `${Math.max(0, room - 10)}px` }}>{group}</span>
			<span class="g-title" onPointerDown={props.onMove && !c.fixed ? (event) => drag(event, c.id, props.onMove!) : undefined}
				onKeyDown={(event) => {
					if (event.shiftKey && (event.key === 'ArrowLeft' || event.key === 'ArrowRight') && !c.fixed) {
						event.preventDefault();
						event.stopPropagation();
						step(c, event.key === 'ArrowLeft' ? -1 : 1);
					}
				}}>
				{c.head ?? (c.sortable
					? <button type="button" class={`g-sort clip${props.sort.id === c.id ? ' on' : ''}`} title={c.title} onClick={() => props.onSort(c.id)}>{c.title}{props.sort.id === c.id ? (props.sort.down ? ' ▼' : ' ▲') : ''}</button>
					: <span class="clip" title={c.title}>{c.title}</span>)}
				{props.columnMenu && !c.fixed && <Menu class="g-more" name={`Column ${c.title}`} label={<Icon name="down" />} right={c.numeric ?? false}>{(close) => props.columnMenu!(c, close)}</Menu>}
			</span>
			{!c.fixed && <span class="g-size" aria-hidden="true" onPointerDown={(event) => resize(event, c, props.onResize)} />}
		</div>
	);

	return (
		<div
			class={`grid${props.card ? ' cards' : ''}`}
			ref={box}
			role="grid"
			tabIndex={0}
			aria-label={props.label}
			aria-rowcount={props.count + 1}
			aria-colcount={props.card ? 1 : props.columns.length}
			aria-multiselectable="true"
			aria-activedescendant={props.active.value >= first && props.active.value < last ? `row-${props.active.value}` : undefined}
			onKeyDown={props.onKey}
		>
			{!props.card && (
				<div class="g-top" role="row" aria-rowindex={1} style={{ width: `${Math.max(total, view.width)}px`, height: `${HEAD}px` }}>
					{stick(pinned).map(([c, left, edge], k) => headCell(c, left, edge, false, startsGroup(pinned, k) ? c.group : '', groupWidth(pinned, k)))}
					<div class="g-gap" style={{ width: `${offsets[freeFrom] ?? 0}px` }} />
					{seen.map((c, k) => headCell(c, null, false, startsGroup(free, freeFrom + k), k === 0 || startsGroup(free, freeFrom + k) ? c.group : '', groupWidth(seen, k)))}
				</div>
			)}
			{sticky.length > 0 && <div class="g-sticky" role="rowgroup" style={{ top: `${head}px`, height: `${stickyHeight}px` }}>{sticky.map((row, i) => rowAt(-1 - i, row, null))}</div>}
			<div class="g-body" role="rowgroup" style={{ height: `${drawn}px`, width: props.card ? '100%' : `${total}px` }}>
				{Array.from({ length: Math.max(0, last - first) }, (_, k) => rowAt(first + k, props.row(first + k), topOf(first + k)))}
			</div>
		</div>
	);
}

function stick<R>(pinned: Column<R>[]): [Column<R>, number, boolean][] {
	let left = 0;
	return pinned.map((c, i) => {
		const at = left;
		left += c.width;
		return [c, at, i === pinned.length - 1];
	});
}

function startsGroup<R>(columns: Column<R>[], i: number): boolean {
	return columns[i]?.group !== columns[i - 1]?.group;
}

/* How wide the columns of one group are together, from this one on. */
function groupWidth<R>(columns: Column<R>[], from: number): number {
	let width = 0;
	for (let i = from; i < columns.length && columns[i]!.group === columns[from]!.group; i++)
		width += columns[i]!.width;
	return width;
}

/* How many entries of the ascending list are <= x. */
function upper(list: number[], x: number): number {
	let lo = 0;
	let hi = list.length;
	while (lo < hi) {
		const mid = (lo + hi) >> 1;
		if (list[mid]! <= x)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Takes a column by its title to another place; a click stays a click. */
function drag(event: PointerEvent, id: string, done: (id: string, beside: string, after: boolean) => void): void {
	const handle = event.currentTarget as HTMLElement;
	const from = event.clientX;
	let target: HTMLElement | null = null;
	let after = false;
	let begun = false;
	if (event.button !== 0 || event.pointerType === 'touch')
		return;
	const unmark = () => target?.classList.remove('drop-before', 'drop-after');
	const move = (e: PointerEvent) => {
		if (!begun && Math.abs(e.clientX - from) < DRAG_PX)
			return;
		if (!begun) {
			begun = true;
			handle.setPointerCapture(e.pointerId);
			handle.closest('.g-head')?.classList.add('dragged');
		}
		unmark();
		target = document.elementFromPoint(e.clientX, e.clientY)?.closest<HTMLElement>('.g-head') ?? null;
		if (!target || target.dataset['column'] === id)
			return;
		const place = target.getBoundingClientRect();
		after = e.clientX > place.left + place.width / 2;
		target.classList.add(after ? 'drop-after' : 'drop-before');
	};
	const end = (e: PointerEvent) => {
		removeEventListener('pointermove', move);
		removeEventListener('pointerup', end);
		removeEventListener('pointercancel', end);
		unmark();
		handle.closest('.g-head')?.classList.remove('dragged');
		const beside = target?.dataset['column'];
		if (begun && e.type === 'pointerup' && beside && beside !== id)
			done(id, beside, after);
	};
	addEventListener('pointermove', move);
	addEventListener('pointerup', end);
	addEventListener('pointercancel', end);
}

function resize<R>(event: PointerEvent, column: Column<R>, done: (id: string, width: number) => void): void {
	const handle = event.currentTarget as HTMLElement;
	const from = event.clientX;
	const before = column.width;
	event.preventDefault();
	event.stopPropagation();
	handle.setPointerCapture(event.pointerId);
	const move = (e: PointerEvent) => done(column.id, Math.max(48, before + e.clientX - from));
	const end = () => handle.removeEventListener('pointermove', move);
	handle.addEventListener('pointermove', move);
	handle.addEventListener('pointerup', end, { once: true });
	handle.addEventListener('pointercancel', end, { once: true });
}

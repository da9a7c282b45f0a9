/* A table that builds only the cells in view, both ways: thousands of keys by hundreds of runs. Head row and first column stay. */

import type { ComponentChildren, JSX } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';

export interface GridProps {
	label: string;
	rows: number;
	cols: number;
	rowHeight: number;
	colWidth: number;
	firstWidth: number;
	headHeight: number;
	corner: ComponentChildren;
	head: (col: number) => ComponentChildren;
	first: (row: number) => ComponentChildren;
	cell: (row: number, col: number) => ComponentChildren;
	rowClass?: (row: number) => string;
	cellClass?: (row: number, col: number) => string;
	colClass?: (col: number) => string;
}

const SPARE = 4;

export function Grid(p: GridProps): JSX.Element {
	const box = useRef<HTMLDivElement>(null);
	const [view, setView] = useState({ x: 0, y: 0, w: 1200, h: 700 });
	useLayoutEffect(() => {
		const node = box.current;
		if (!node) return;
		const see = () => setView({ x: node.scrollLeft, y: node.scrollTop, w: node.clientWidth, h: node.clientHeight });
		see();
		const watch = new ResizeObserver(see);
		watch.observe(node);
		node.addEventListener('scroll', see, { passive: true });
		return () => {
			watch.disconnect();
			node.removeEventListener('scroll', see);
		};
	}, []);

	const c0 = Math.max(0, Math.floor(view.x / p.colWidth) - SPARE);
	const c1 = Math.min(p.cols, Math.ceil((view.x + view.w - p.firstWidth) / p.colWidth) + SPARE);
	const r0 = Math.max(0, Math.floor((view.y - p.headHeight) / p.rowHeight) - SPARE);
	const r1 = Math.min(p.rows, Math.ceil((view.y + view.h - p.headHeight) / p.rowHeight) + SPARE);
	const cols = Array.from({ length: Math.max(0, c1 - c0) }, (_, i) => c0 + i);
	const rows = Array.from({ length: Math.max(0, r1 - r0) }, (_, i) => r0 + i);
	const width = p.firstWidth + p.cols * p.colWidth;
	const spacer = c0 * p.colWidth;

	return (
		<div class="cmp-grid" ref={box} tabIndex={0} role="table" aria-label={p.label} aria-rowcount={p.rows + 1} aria-colcount={p.cols + 1}>
			<div class="cmp-head" role="row" aria-rowindex={1} style={{ width: `${width}px`, height: `${p.headHeight}px` }}>
				<div class="cmp-first" role="columnheader" aria-colindex={1} style={{ width: `${p.firstWidth}px` }}>
					{p.corner}
				</div>
				<div role="none" style={{ width: `${spacer}px`, flex: 'none' }} />
				{cols.map((c) => (
					<div
						key={c}
						class={`cmp-cell ${p.colClass?.(c) ?? ''}`}
						role="columnheader"
						aria-colindex={c + 2}
						style={{ width: `${p.colWidth}px` }}
					>
						{p.head(c)}
					</div>
				))}
			</div>
			<div role="none" style={{ height: `${r0 * p.rowHeight}px` }} />
			{rows.map((r) => (
				<div
					key={r}
					class={`cmp-row ${p.rowClass?.(r) ?? ''}`}
					role="row"
					aria-rowindex={r + 2}
					style={{ width: `${width}px`, height: `${p.rowHeight}px` }}
				>
					<div class="cmp-first" role="rowheader" aria-colindex={1} style={{ width: `${p.firstWidth}px` }}>
						{p.first(r)}
					</div>
					<div role="none" style={{ width: `${spacer}px`, flex: 'none' }} />
					{cols.map((c) => (
						<div
							key={c}
							class={`cmp-cell ${p.colClass?.(c) ?? ''} ${p.cellClass?.(r, c) ?? ''}`}
							role="cell"
							aria-colindex={c + 2}
							style={{ width: `${p.colWidth}px` }}
						>
							{p.cell(r, c)}
						</div>
					))}
				</div>
			))}
			<div role="none" style={{ height: `${(p.rows - Math.max(r0, r1)) * p.rowHeight}px` }} />
		</div>
	);
}

/* A chart on the page: its head with controls and export, the canvas that follows its width and the theme, a second canvas
   above it for what follows the pointer, and the note for it. */

import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { saveCSV, savePNG, saveSVG, type Cells, type Draw } from './export';
import { CanvasPen } from './pen';
import { theme, type ChartRun } from './theme';
import './charts.css';

export interface At {
	x: number;
	y: number;
}

export interface CanvasProps {
	height: number;
	label: string;
	draw: Draw;
	/** Drawn above, cheaply and often. */
	over?: Draw;
	onPoint?: (at: At | null, width: number) => void;
	onPress?: (at: At, width: number) => void;
	/** After onPress, until the button is up; `done` on release. */
	onDrag?: (at: At, width: number, done: boolean) => void;
	onDouble?: () => void;
	onKey?: (event: KeyboardEvent, width: number) => void;
	tip?: ComponentChildren;
	tipAt?: At | null;
	onWidth?: (width: number) => void;
	cursor?: string;
}

function paint(canvas: HTMLCanvasElement | null, w: number, h: number, draw: Draw | undefined): void {
	const ctx = canvas?.getContext('2d');
	if (!canvas || !ctx || w <= 0) return;
	const scale = window.devicePixelRatio || 1;
	const pw = Math.round(w * scale),
		ph = Math.round(h * scale);
	if (canvas.width !== pw || canvas.height !== ph) {
		canvas.width = pw;
		canvas.height = ph;
	}
	ctx.setTransform(scale, 0, 0, scale, 0, 0);
	ctx.clearRect(0, 0, w, h);
	draw?.(new CanvasPen(ctx, theme.value), theme.value, w, h);
}

export function ChartCanvas(props: CanvasProps): JSX.Element {
	const box = useRef<HTMLDivElement>(null);
	const under = useRef<HTMLCanvasElement>(null);
	const above = useRef<HTMLCanvasElement>(null);
	const pressed = useRef(false);
	const [width, setWidth] = useState(0);
	const t = theme.value;

	useLayoutEffect(() => {
		const node = box.current;
		if (!node) return;
		const see = () => {
			const w = Math.floor(node.clientWidth);
			setWidth(w);
			props.onWidth?.(w);
		};
		see();
		const watch = new ResizeObserver(see);
		watch.observe(node);
		return () => watch.disconnect();
	}, []);
	useLayoutEffect(() => paint(under.current, width, props.height, props.draw), [width, props.height, props.draw, t]);
	useLayoutEffect(() => paint(above.current, width, props.height, props.over), [width, props.height, props.over, t]);

	const place = (e: PointerEvent): At => {
		const r = box.current!.getBoundingClientRect();
		return { x: e.clientX - r.left, y: e.clientY - r.top };
	};
	const tip = props.tip && props.tipAt;
	return (
		<div
			class="chart-canvas"
			ref={box}
			role="img"
			aria-label={props.label}
			tabIndex={props.onKey ? 0 : undefined}
			style={{ height: `${props.height}px`, cursor: props.cursor ?? '' }}
			onPointerMove={(e) => {
				if (pressed.current && props.onDrag) props.onDrag(place(e), width, false);
				else props.onPoint?.(place(e), width);
			}}
			onPointerLeave={() => !pressed.current && props.onPoint?.(null, width)}
			onPointerDown={(e) => {
				if (e.button !== 0) return;
				props.onPoint?.(place(e), width);
				if (e.pointerType === 'touch' || !props.onDrag) return;
				pressed.current = true;
				(e.currentTarget as HTMLElement).setPointerCapture(e.pointerId);
				props.onPress?.(place(e), width);
			}}
			onPointerUp={(e) => {
				if (!pressed.current) return;
				pressed.current = false;
				props.onDrag?.(place(e), width, true);
			}}
			onDblClick={() => props.onDouble?.()}
			onKeyDown={(e) => props.onKey?.(e, width)}
		>
			<canvas ref={under} />
			<canvas ref={above} class="over" />
			{tip && (
				<div
					class={`chart-tip ${props.tipAt!.x > width / 2 ? 'left' : ''}`}
					style={{ left: `${props.tipAt!.x}px`, top: `${Math.min(props.tipAt!.y, props.height - 40)}px` }}
				>
					{props.tip}
				</div>
			)}
		</div>
	);
}

export interface CardProps {
	title: string;
	controls?: ComponentChildren;
	/** Under the chart: what was left out, what the reader should know. */
	note?: ComponentChildren;
	draw?: Draw;
	runs?: ChartRun[];
	width?: number;
	height?: number;
	csv?: () => Cells;
	busy?: boolean;
	children: ComponentChildren;
}

export function ChartCard(props: CardProps): JSX.Element {
	const sheet = () => ({
		title: props.title,
		width: Math.max(480, props.width ?? 720),
		height: Math.max(280, props.height ?? 360),
		draw: props.draw!,
		runs: props.runs,
	});
	return (
		<section class="chart-card" aria-label={props.title} aria-busy={props.busy ? 'true' : undefined}>
			<header>
				<h2 title={props.title}>{props.title}</h2>
				<div class="chart-controls">{props.controls}</div>
				{(props.draw || props.csv) && (
					<Menu word="Export" label={`Export ${props.title}`}>
						{props.draw && (
							<button type="button" onClick={() => void savePNG(sheet(), theme.value)}>
								PNG picture
							</button>
						)}
						{props.draw && (
							<button type="button" onClick={() => saveSVG(sheet(), theme.value)}>
								SVG drawing
							</button>
						)}
						{props.csv && (
							<button type="button" onClick={() => saveCSV(props.title, props.csv!())}>
								CSV values
							</button>
						)}
					</Menu>
				)}
			</header>
			{props.children}
			{props.note && <p class="chart-note">{props.note}</p>}
		</section>
	);
}

/** A button that opens a short list; closes on a choice, a click elsewhere and Escape. */
export function Menu(props: { word: string; label: string; stay?: boolean; children: ComponentChildren }): JSX.Element {
	const [open, setOpen] = useState(false);
	const box = useRef<HTMLDivElement>(null);
	useEffect(() => {
		if (!open) return;
		const away = (e: Event) => {
			if (e instanceof KeyboardEvent ? e.key === 'Escape' : !box.current?.contains(e.target as Node)) setOpen(false);
		};
		document.addEventListener('pointerdown', away);
		document.addEventListener('keydown', away);
		return () => {
			document.removeEventListener('pointerdown', away);
			document.removeEventListener('keydown', away);
		};
	}, [open]);
	return (
		<div class="menu-host" ref={box}>
			<button type="button" class="btn small quiet" aria-expanded={open} aria-label={props.label} onClick={() => setOpen(!open)}>
				{props.word}
			</button>
			{open && (
				<div class="menu right" onClick={() => !props.stay && setOpen(false)}>
					{props.children}
				</div>
			)}
		</div>
	);
}

/** A word in the place of a chart that cannot be drawn. */
export function NoChart(props: { height: number; children: ComponentChildren }): JSX.Element {
	return (
		<div class="chart-none" style={{ minHeight: `${props.height}px` }}>
			<p>{props.children}</p>
		</div>
	);
}

export function Check(props: { word: string; on: boolean; set: (on: boolean) => void; disabled?: boolean; title?: string }): JSX.Element {
	return (
		<label class="chart-check" title={props.title}>
			<input type="checkbox" checked={props.on} disabled={props.disabled} onChange={(e) => props.set(e.currentTarget.checked)} />
			{props.word}
		</label>
	);
}

export function Choice(props: { word: string; value: string; values: [string, string][]; set: (v: string) => void }): JSX.Element {
	return (
		<label class="chart-choice">
			<span>{props.word}</span>
			<select class="field" value={props.value} onChange={(e) => props.set(e.currentTarget.value)}>
				{props.values.map(([v, word]) => (
					<option key={v} value={v} selected={v === props.value}>
						{word}
					</option>
				))}
			</select>
		</label>
	);
}

const MANY = 300; /* a select with thousands of entries is slow and cannot be searched */

/** Choosing one of many keys: a select with groups, or a field with suggestions where there are too many. */
export function KeyPicker(props: {
	word: string;
	value: string;
	groups: [string, string[]][];
	set: (v: string) => void;
	none?: string;
}): JSX.Element {
	const total = props.groups.reduce((n, g) => n + g[1].length, 0);
	const [typed, setTyped] = useState<string | null>(null);
	const id = useRef(`keys-${Math.random().toString(36).slice(2)}`);
	if (total > MANY) {
		const needle = (typed ?? '').toLowerCase();
		const all = props.groups.flatMap((g) => g[1]);
		const found = all.filter((k) => k.toLowerCase().includes(needle)).slice(0, 100);
		return (
			<label class="chart-choice">
				<span>{props.word}</span>
				<input
					type="text"
					class="field"
					list={id.current}
					value={typed ?? props.value}
					onFocus={() => setTyped('')}
					onBlur={() => setTyped(null)}
					onInput={(e) => {
						setTyped(e.currentTarget.value);
						if (all.includes(e.currentTarget.value)) props.set(e.currentTarget.value);
					}}
				/>
				<datalist id={id.current}>
					{found.map((k) => (
						<option key={k} value={k} />
					))}
				</datalist>
			</label>
		);
	}
	return (
		<label class="chart-choice">
			<span>{props.word}</span>
			<select class="field" value={props.value} onChange={(e) => props.set(e.currentTarget.value)}>
				{props.none !== undefined && <option value="">{props.none}</option>}
				{props.groups.map(
					([name, keys]) =>
						keys.length > 0 && (
							<optgroup key={name} label={name}>
								{keys.map((k) => (
									<option key={k} value={k} selected={k === props.value}>
										{k.replace(/^(params|metrics)\./, '')}
									</option>
								))}
							</optgroup>
						),
				)}
			</select>
		</label>
	);
}

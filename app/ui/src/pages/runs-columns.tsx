/* The columns of the runs table: what they are called, how they are asked for and sorted, how a cell looks. */
import type { ComponentChildren } from 'preact';
import { num, type Num, type RunRow } from '../api/types';
import { Ago, State, Value } from '../components/bits';
import { quoted } from '../components/query/language';
import { duration, exact, short, signedPercent } from '../format';
import { href } from '../state/url';

export interface Spec {
	id: string;
	title: string;
	group: string;
	width: number;
	numeric?: boolean;
	/* what order_by takes; none when the server cannot sort by it */
	order?: string;
}

export const PLAIN: Spec[] = [
	{ id: 'attributes.status', title: 'State', group: 'Run', width: 92, order: 'attributes.status' },
	{ id: 'attributes.start_time', title: 'Started', group: 'Run', width: 92, order: 'attributes.start_time' },
	{ id: 'duration', title: 'Duration', group: 'Run', width: 104, numeric: true, order: 'attributes.duration' },
	{ id: 'user', title: 'User', group: 'Origin', width: 90, order: 'tags.`mlflow.user`' },
	{ id: 'source', title: 'Source', group: 'Origin', width: 140, order: 'tags.`mlflow.source.name`' },
	{ id: 'version', title: 'Version', group: 'Origin', width: 82, order: 'tags.`mlflow.source.git.commit`' },
	{ id: 'datasets', title: 'Dataset', group: 'Origin', width: 150 },
	{ id: 'models', title: 'Models', group: 'Origin', width: 120 },
];
const EXTRA: Spec[] = [
	{ id: 'attributes.end_time', title: 'Ended', group: 'Run', width: 92, order: 'attributes.end_time' },
	{ id: 'attributes.run_id', title: 'Run id', group: 'Run', width: 150, order: 'attributes.run_id' },
	{ id: 'experiment', title: 'Experiment', group: 'Run', width: 110 },
	{ id: 'note', title: 'Description', group: 'Origin', width: 180 },
];
export const ATTRIBUTE_COLUMNS: Spec[] = [...PLAIN, ...EXTRA];
export const RUN_NAME: Spec = { id: 'attributes.run_name', title: 'Run', group: '', width: 174, order: 'attributes.run_name' };

export function specOf(id: string): Spec {
	const known = ATTRIBUTE_COLUMNS.find((s) => s.id === id) ?? (id === RUN_NAME.id ? RUN_NAME : undefined);
	if (known)
		return known;
	const [kind = '', key = id] = split(id);
	const width = Math.min(210, Math.max(84, 30 + key.length * 7));
	if (kind === 'metrics')
		return { id, title: key, group: 'Metrics, last value', width: Math.max(width, 96), numeric: true, order: `metrics.${quoted(key)}` };
	if (isExtreme(kind)) {
		const [end] = extreme(id);
		return { id, title: `${key} ${kind}`, group: 'Metrics, over the history', width: Math.max(width + 26, 96), numeric: true, order: `metrics.${quoted(`${key}.${end}`)}` };
	}
	if (kind === 'params')
		return { id, title: key, group: 'Parameters', width, order: `params.${quoted(key)}` };
	return { id, title: key, group: 'Tags', width: Math.max(width, 110), order: `tags.${quoted(key)}` };
}

/* "metrics.val/loss" in its two parts. */
export function split(id: string): [string, string] {
	const dot = id.indexOf('.');
	return [id.slice(0, dot), id.slice(dot + 1)];
}

/* Columns of a metric beside its last value: "min.loss", "max.loss", and "best.loss", which is one of these two. */
export const EXTREMES = ['min', 'max', 'best'] as const;

export function isExtreme(kind: string): boolean {
	return (EXTREMES as readonly string[]).includes(kind);
}

function extreme(id: string): ['min' | 'max', string] {
	const [kind, key] = split(id);
	return [kind === 'min' || (kind === 'best' && direction(key) < 0) ? 'min' : 'max', key];
}

/* The number in a column of metrics. */
export function numberOf(row: RunRow, id: string): Num | undefined {
	const [kind, key] = split(id);
	return kind === 'metrics' ? row.metrics[key] : row[extreme(id)[0]]?.[key];
}

/* What the server is asked for to fill these columns. */
export function asked(ids: readonly string[]): string[] {
	return ids.flatMap((id) => (/^(metrics|params|tags)\./.test(id) ? [id] : isExtreme(split(id)[0]) ? [extreme(id).join('.')] : []));
}

/* Whether less is better, as far as a name tells: -1 less, 1 more, 0 unknown. */
export function direction(key: string): -1 | 0 | 1 {
	const k = key.toLowerCase();
	if (/loss|err|mae|mse|rmse|mape|perplex|latency|time|duration|bleed|wer\b|cer\b/.test(k))
		return -1;
	return /acc|auc|f1|r2|score|precision|recall|bleu|rouge|map\b|iou|reward|throughput/.test(k) ? 1 : 0;
}

export function textOf(row: RunRow, id: string): string {
	switch (id) {
	case 'attributes.run_name': return row.info.run_name ?? '';
	case 'attributes.status': return row.info.status;
	case 'attributes.start_time': return iso(num(row.info.start_time));
	case 'attributes.end_time': return iso(num(row.info.end_time));
	case 'attributes.run_id': return row.info.run_id;
	case 'experiment': return row.info.experiment_id;
	case 'duration': return num(row.info.end_time) > 0 ? String(num(row.info.end_time) - num(row.info.start_time)) : '';
	case 'user': return row.tags['mlflow.user'] ?? row.info.user_id ?? '';
	case 'source': return row.tags['mlflow.source.name'] ?? '';
	case 'version': return row.tags['mlflow.source.git.commit'] ?? '';
	case 'note': return row.tags['mlflow.note.content'] ?? '';
	case 'datasets': return (row.datasets ?? []).map((d) => `${d.name} (${d.digest})`).join(' ');
	case 'models': return (row.models ?? []).join(' ');
	}
	const [kind, key] = split(id);
	if (kind === 'metrics' || isExtreme(kind)) {
		const value = numberOf(row, id);
		return value === undefined ? '' : exact(num(value));
	}
	return (kind === 'params' ? row.params[key] : row.tags[key]) ?? '';
}

function iso(ms: number): string {
	return ms > 0 ? new Date(ms).toISOString() : '';
}

export function cellOf(row: RunRow, id: string, base: RunRow | undefined, now: number): ComponentChildren {
	switch (id) {
	case 'attributes.status':
		return <State status={row.info.status} />;
	case 'attributes.start_time':
		return <Ago ms={row.info.start_time} />;
	case 'attributes.end_time':
		return <Ago ms={row.info.end_time} />;
	case 'duration':
		return <span>{lasting(row, now)}</span>;
	case 'source': {
		const full = textOf(row, id);
		return <span title={full}>{full.split(/[\\/]/).at(-1)}</span>;
	}
	case 'version': {
		const commit = textOf(row, id);
		return <span class="mono" title={commit}>{commit.slice(0, 7)}</span>;
	}
	case 'datasets': {
		const [first, ...more] = row.datasets ?? [];
		return first && <span title={textOf(row, id)}>{first.name}{first.context ? <span class="muted"> {first.context}</span> : null}{more.length ? ` +${more.length}` : ''}</span>;
	}
	case 'models': {
		const models = row.models ?? [];
		return models.length ? <a href={href(`/runs/${row.info.run_id}/artifacts?model=${encodeURIComponent(models[0]!)}`)} title={models.join(', ')}>{models[0]!.slice(0, 10)}{models.length > 1 ? ` +${models.length - 1}` : ''}</a> : null;
	}
	case 'attributes.run_id':
		return <span class="mono" title={row.info.run_id}>{row.info.run_id}</span>;
	}
	const [kind, key] = split(id);
	if (kind === 'metrics' || isExtreme(kind)) {
		const value = numberOf(row, id);
		if (value === undefined)
			return null;
		return <>{base && base.info.run_id !== row.info.run_id && <Delta value={num(value)} base={num(numberOf(base, id))} way={direction(key)} />}<Value value={value} /></>;
	}
	const text = textOf(row, id);
	return <span title={text}>{kind === 'params' ? shortParam(text) : text}</span>;
}

export function lasting(row: RunRow, now: number): string {
	const start = num(row.info.start_time);
	const end = num(row.info.end_time);
	return end > 0 ? duration(end - start) : row.info.status === 'RUNNING' && start > 0 ? duration(Math.max(0, now - start)) : '';
}

function shortParam(text: string): string {
	return /^-?\d*\.?\d+(e[-+]?\d+)?$/i.test(text) && text.length > 9 ? short(Number(text)) : text;
}

/* Better is bold and green, worse regular and red, so that weight and sign carry it without colour. */
export function Delta({ value, base, way }: { value: number; base: number; way: -1 | 0 | 1 }) {
	const ratio = (value - base) / Math.abs(base);
	if (!Number.isFinite(ratio))
		return null;
	const good = ratio === 0 ? 0 : Math.sign(ratio) * way;
	return <span class={`delta${good > 0 ? ' better' : good < 0 ? ' worse' : ''}`} title={`Baseline ${exact(base)}`}>{signedPercent(ratio)}</span>;
}

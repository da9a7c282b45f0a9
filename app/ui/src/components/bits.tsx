/* Small pieces that several pages show: states, times, tags, notes, empty states, errors. */
import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { lazy } from './lazy';
import { explain, passing } from '../api/client';
import { num, type KeyValue, type Num, type RunStatus } from '../api/types';
import { ago, exact, short, when } from '../format';
import { ask } from './dialog';
import { Icon, type IconName } from './icon';
import { complain } from './toast';

/* Ticks so that "4 min ago" stays true. */
const now = signal(Date.now());
setInterval(() => { now.value = Date.now(); }, 20_000);

export function Ago({ ms }: { ms: Num | undefined }) {
	const value = num(ms);
	return value > 0 ? <time dateTime={new Date(value).toISOString()} title={when(value)}>{ago(value, Math.max(now.value, Date.now()))}</time> : null;
}

const STATES: Record<RunStatus, [string, IconName]> = {
	RUNNING: ['Running', 'run'],
	SCHEDULED: ['Scheduled', 'clock'],
	FINISHED: ['Finished', 'check'],
	FAILED: ['Failed', 'cross'],
	KILLED: ['Killed', 'stop'],
};

export function State({ status }: { status: RunStatus }) {
	const [word, icon] = STATES[status] ?? [status, 'clock'];
	return <span class="state" data-status={status}><Icon name={icon} />{word}</span>;
}

export function Value({ value }: { value: Num | undefined }) {
	if (value === undefined)
		return null;
	const v = num(value);
	return <span title={exact(v)}>{short(v)}</span>;
}

export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
	return <div class="notice bad row" role="alert"><span class="grow">{explain(error)}{passing(error) && ' The page asks again by itself.'}</span>{retry && <button type="button" class="btn small" onClick={retry}>Try again</button>}</div>;
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
	return <section class="empty"><h2>{title}</h2>{children}</section>;
}

/* On a phone tabs scroll sideways: the chosen one comes into sight. For the tabs' ref. */
export function inSight(tabs: HTMLElement | null): void {
	const on = tabs?.querySelector<HTMLElement>('[aria-current]');
	if (tabs && on && tabs.scrollWidth > tabs.clientWidth)
		tabs.scrollLeft = on.offsetLeft - tabs.offsetLeft - (tabs.clientWidth - on.offsetWidth) / 2;
}

/* Grey lines while something loads; shown late, so that quick answers do not flicker. */
export function Loading({ what = 'Loading' }: { what?: string }) {
	return <p class="muted loading" role="status">{what}…</p>;
}

/* Tags of MLflow's own ("mlflow.*") are shown apart. */
export function ownTags(tags: readonly KeyValue[] | undefined): KeyValue[] {
	return (tags ?? []).filter((t) => !t.key.startsWith('mlflow.')).sort((a, b) => (a.key < b.key ? -1 : 1));
}

export function tagOf(tags: readonly KeyValue[] | undefined, key: string): string | undefined {
	return tags?.find((t) => t.key === key)?.value;
}

export function Tags({ tags, onSet, onDelete }: { tags: readonly KeyValue[] | undefined; onSet?: (key: string, value: string) => Promise<unknown>; onDelete?: (key: string) => Promise<unknown> }) {
	const edit = (old?: KeyValue) => onSet && ask({
		title: old ? `Tag ${old.key}` : 'Add a tag',
		fields: [...(old ? [] : [{ name: 'key', label: 'Key', required: true }]), { name: 'value', label: 'Value', value: old?.value }],
		action: 'Save',
		run: async (v) => { await onSet(old?.key ?? v['key'] ?? '', v['value'] ?? ''); },
	});
	return (
		<div class="row tags">
			{ownTags(tags).map((t) => (
				<span class="chip" key={t.key}>
					{onSet ? <button type="button" class="chip-text clip" title={`${t.key}: ${t.value}`} onClick={() => edit(t)}>{t.key}: {t.value}</button> : <span class="clip" title={`${t.key}: ${t.value}`}>{t.key}: {t.value}</span>}
					{onDelete && <button type="button" aria-label={`Remove tag ${t.key}`} onClick={() => onDelete(t.key).catch(complain)}>×</button>}
				</span>
			))}
			{onSet && <button type="button" class="btn small quiet" onClick={() => edit()}>Add tag</button>}
		</div>
	);
}

const Markdown = lazy(() => import('./markdown'));

/* A description: Markdown to read, text to edit. */
export function Note({ text, what, onSave }: { text: string | undefined; what: string; onSave?: (text: string) => Promise<unknown> }) {
	const edit = () => onSave && ask({
		title: text ? `Edit the ${what}` : `Write a ${what}`,
		fields: [{ name: 'text', label: 'Markdown', value: text, multiline: true }],
		action: 'Save',
		run: async (v) => { await onSave(v['text'] ?? ''); },
	});
	return (
		<div class="note">
			{text ? <Markdown text={text} /> : <span class="muted">No {what} yet.</span>}
			{onSave && <button type="button" class="btn small quiet" onClick={edit}>{text ? 'Edit' : 'Write one'}</button>}
		</div>
	);
}

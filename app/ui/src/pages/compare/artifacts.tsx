/* The same file of several runs, or of their logged models of one name, side by side: images, tables, text. Folders are listed when opened. */

import type { JSX } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { aborted, explain, get } from '../../api/client';
import { artifactList } from '../../api/artifacts';
import type { ArtifactOwner, FileInfo, LoggedModel } from '../../api/types';
import type { RunTable } from '../../charts/data';
import { bytes } from '../../format';
import { runColourVar } from '../../state/colour';
import { href, query, setQuery } from '../../state/url';
import { Artifact } from '../../viewers';

interface Entry {
	path: string;
	is_dir: boolean;
	/** Size by run. */
	in: Map<string, number>;
}

const LISTED = 50; /* runs asked for their list: one request each */
const AT_ONCE = 6;
const NOBODY: ArtifactOwner[] = [];

async function listRun(run_id: string, path: string, abort: AbortSignal): Promise<FileInfo[]> {
	const out: FileInfo[] = [];
	let page_token = '';
	do {
		const answer = await get<{ files?: FileInfo[]; next_page_token?: string }>('mlflow/artifacts/list', { run_id, path, page_token }, abort);
		out.push(...(answer.files ?? []));
		page_token = answer.next_page_token ?? '';
	} while (page_token);
	return out;
}

async function list(owners: ArtifactOwner[], path: string, abort: AbortSignal): Promise<Entry[]> {
	const all = new Map<string, Entry>();
	for (let i = 0; i < owners.length; i += AT_ONCE)
		await Promise.all(
			owners.slice(i, i + AT_ONCE).map(async (owner) => {
				for (const f of await (owner.model_id ? artifactList(owner, path, abort) : listRun(owner.run_id, path, abort))) {
					const entry = all.get(f.path) ?? { path: f.path, is_dir: Boolean(f.is_dir), in: new Map() };
					entry.in.set(owner.run_id, Number(f.file_size ?? NaN));
					all.set(f.path, entry);
				}
			}),
		);
	return [...all.values()].sort((a, b) => Number(b.is_dir) - Number(a.is_dir) || (a.path < b.path ? -1 : 1));
}

/* Models that the runs logged, by name: the last one of each run. */
async function modelsOf(runs: RunTable['runs'], abort: AbortSignal): Promise<Map<string, ArtifactOwner[]>> {
	const asked = runs.flatMap((r) => (r.outputs?.model_outputs ?? []).map((m) => ({ run_id: r.info.run_id, model_id: m.model_id })));
	const out = new Map<string, ArtifactOwner[]>();
	for (let i = 0; i < asked.length; i += AT_ONCE) {
		const found = await Promise.all(
			asked.slice(i, i + AT_ONCE).map((o) =>
				get<{ model: LoggedModel }>(`mlflow/logged-models/${o.model_id}`, {}, abort).then(
					(a) => a.model.info.name || o.model_id,
					(e) => { if (aborted(e)) throw e; },
				),
			),
		);
		found.forEach((name, k) => {
			const owner = asked[i + k]!;
			if (name) out.set(name, [...(out.get(name) ?? []).filter((o) => o.run_id !== owner.run_id), owner]);
		});
	}
	return out;
}

export default function CompareArtifacts(props: { table: RunTable }): JSX.Element {
	const listed = useMemo(() => props.table.runs.slice(0, LISTED), [props.table]);
	const own = useMemo((): ArtifactOwner[] => listed.map((r) => ({ run_id: r.info.run_id })), [listed]);
	const [models, setModels] = useState<ReadonlyMap<string, ArtifactOwner[]>>(new Map());
	useEffect(() => {
		const abort = new AbortController();
		modelsOf(listed, abort.signal).then(setModels, () => undefined);
		return () => abort.abort();
	}, [listed]);
	const model = query.value.get('model') ?? '';
	const owners = model ? models.get(model) ?? NOBODY : own;
	const [shown, setShown] = useState(12);
	const chosen = query.value.get('file') ?? '';
	const [entry, setEntry] = useState<Entry | null>(null);
	/* A link to a file: find out which runs have it, by its folder's list. */
	useEffect(() => {
		if (!chosen || entry?.path === chosen || !owners.length) return;
		const abort = new AbortController();
		list(owners, chosen.includes('/') ? chosen.slice(0, chosen.lastIndexOf('/')) : '', abort.signal).then(
			(all) => setEntry(all.find((e) => e.path === chosen) ?? { path: chosen, is_dir: false, in: new Map() }),
			() => undefined,
		);
		return () => abort.abort();
	}, [chosen, owners]);
	const runs = entry && entry.path === chosen ? props.table.runs.filter((r) => entry.in.has(r.info.run_id)) : [];

	return (
		<div class="cmp-artifacts">
			<nav class="cmp-files" aria-label="Files of these runs">
				{[['', own] as const, ...models].map(([name, of]) => (
					<section key={name}>
						{models.size > 0 && <h3 class="small muted">{name ? `Logged model: ${name}` : 'Runs'}</h3>}
						<Folder
							path=""
							owners={of}
							chosen={name === model ? chosen : ''}
							choose={(e) => {
								setEntry(e);
								setShown(12);
								setQuery({ file: e.path, model: name || null });
							}}
						/>
					</section>
				))}
				{props.table.runs.length > LISTED && (
					<p class="muted small">
						Files of the first {LISTED} of {props.table.runs.length} runs
					</p>
				)}
			</nav>
			<div class="cmp-sides">
				{!chosen && <p class="notice">Choose a file at the left: it is shown for each run that has it.</p>}
				{chosen && entry?.path === chosen && !runs.length && <p class="notice">No run has {chosen}.</p>}
				<div class="cmp-cards">
					{runs.slice(0, shown).map((r) => (
						<section key={r.info.run_id} class="card">
							<h3 class="cmp-run">
								<span class="cmp-mark" style={{ background: runColourVar(r.info.run_id) }} />
								<a class="clip" href={href(`/runs/${r.info.run_id}`)}>
									{r.info.run_name || r.info.run_id.slice(0, 8)}
								</a>
							</h3>
							<Artifact key={`${model} ${chosen}`} run={owners.find((o) => o.run_id === r.info.run_id) ?? { run_id: r.info.run_id }} path={chosen} size={entry!.in.get(r.info.run_id)} />
						</section>
					))}
				</div>
				{runs.length > shown && (
					<button type="button" class="btn" onClick={() => setShown(shown + 12)}>
						Show more: {runs.length - shown} of {runs.length} runs are left
					</button>
				)}
			</div>
		</div>
	);
}

function Folder(props: { path: string; owners: ArtifactOwner[]; chosen: string; choose: (e: Entry) => void }): JSX.Element {
	const [entries, setEntries] = useState<Entry[] | null>(null);
	const [error, setError] = useState('');
	useEffect(() => {
		const abort = new AbortController();
		list(props.owners, props.path, abort.signal).then(setEntries, (e) => !aborted(e) && setError(explain(e)));
		return () => abort.abort();
	}, [props.owners, props.path]);
	if (error)
		return (
			<p class="notice bad" role="alert">
				{error}
			</p>
		);
	if (!entries)
		return (
			<p class="muted small" role="status">
				Listing…
			</p>
		);
	if (!entries.length)
		return <p class="muted small">{props.path ? 'Empty' : 'These runs have no artifacts. Log one with mlflow.log_artifact.'}</p>;
	return (
		<ul>
			{entries.map((e) => (
				<li key={e.path}>
					{e.is_dir ? (
						<Branch {...props} entry={e} />
					) : (
						<button
							type="button"
							class={`cmp-file ${e.path === props.chosen ? 'on' : ''}`}
							aria-current={e.path === props.chosen ? 'true' : undefined}
							onClick={() => props.choose(e)}
						>
							<span class="clip">{e.path.slice(e.path.lastIndexOf('/') + 1)}</span>
							<span class="muted small">
								{props.owners.length > 1 ? `${e.in.size} of ${props.owners.length}` : bytes([...e.in.values()][0] ?? NaN)}
							</span>
						</button>
					)}
				</li>
			))}
		</ul>
	);
}

function Branch(props: { entry: Entry; owners: ArtifactOwner[]; chosen: string; choose: (e: Entry) => void }): JSX.Element {
	const [open, setOpen] = useState(props.chosen.startsWith(`${props.entry.path}/`));
	return (
		<>
			<button type="button" class="cmp-file" aria-expanded={open} onClick={() => setOpen(!open)}>
				<span class="clip">
					{open ? '▾' : '▸'} {props.entry.path.slice(props.entry.path.lastIndexOf('/') + 1)}/
				</span>
			</button>
			{open && <Folder path={props.entry.path} owners={props.owners} chosen={props.chosen} choose={props.choose} />}
		</>
	);
}

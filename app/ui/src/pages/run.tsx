/* One run: everything it records, its curves, its files; live while it goes on. */
import './run.css';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { get, root } from '../api/client';
import { experimentGet } from '../api/experiments';
import { onChange } from '../api/live';
import { fetchRows, mapOf, runDelete, runDeleteTag, runGet, runRename, runRestore, runSetTag } from '../api/runs';
import { num, type DatasetInput, type LoggedModel, type ModelVersion, type Run, type RunRow } from '../api/types';
import { Ago, Empty, Failure, inSight, Loading, Note, ownTags, State, tagOf, Tags, Value } from '../components/bits';
import { Code, CopyLine } from '../components/copy';
import { ask } from '../components/dialog';
import { lazy } from '../components/lazy';
import { throttle, useLoad } from '../components/load';
import { Menu } from '../components/menu';
import { complain, say } from '../components/toast';
import { count, duration, when } from '../format';
import type { PageProps } from '../routes';
import { go, href } from '../state/url';

const RunMetrics = lazy<{ run: Run; prefix?: string }>(() => import('../charts/panel').then((m) => ({ default: m.RunMetrics })));
const Artifacts = lazy<{ run: Run; models: LoggedModel[] }>(() => import('./run-artifacts'));

const TABS = [['', 'Overview'], ['metrics', 'Metrics'], ['system', 'System metrics'], ['artifacts', 'Artifacts']] as const;
const REFRESH_MS = 1000;
/* rows of metrics and params; a search finds the others */
const LISTED = 500;
/* a value of more characters gets a box to scroll in */
const LONG = 600;
const { compare } = new Intl.Collator('en', { numeric: true });

export default function RunPage({ parts }: PageProps) {
	const [run_id = '', tab = ''] = parts;
	const run = useLoad((abort) => runGet(run_id, abort), [run_id]);
	const experiment_id = run.data?.info.experiment_id;
	const experiment = useLoad((abort) => (experiment_id ? experimentGet(experiment_id, abort) : Promise.resolve(undefined)), [experiment_id]);
	const children = useLoad((abort) => (experiment_id ? fetchRows({ experiment_ids: [experiment_id], filter: `tags.\`mlflow.parentRunId\` = '${run_id}'`, order_by: ['attributes.start_time ASC'], run_view_type: 'ACTIVE_ONLY' }, 0, 200, [], abort) : Promise.resolve(undefined)), [experiment_id, run_id]);
	const parent_id = tagOf(run.data?.data.tags, 'mlflow.parentRunId');
	const parent = useLoad((abort) => (parent_id ? runGet(parent_id, abort).catch(() => undefined) : Promise.resolve(undefined)), [parent_id]);
	const modelIds = [...(run.data?.outputs?.model_outputs ?? []), ...(run.data?.inputs?.model_inputs ?? [])].map((m) => m.model_id);
	const models = useLoad((abort) => Promise.all(modelIds.map((id) => get<{ model: LoggedModel }>(`mlflow/logged-models/${id}`, {}, abort).then((a) => a.model).catch(() => undefined))).then((all) => all.filter((m): m is LoggedModel => !!m)), [modelIds]);
	const versions = useLoad((abort) => get<{ model_versions?: ModelVersion[] }>('mlflow/model-versions/search', { filter: `run_id = '${run_id}'` }, abort).then((a) => a.model_versions ?? []).catch(() => []), [run_id]);

	useEffect(() => {
		const soon = throttle(() => { run.reload(); children.reload(); }, REFRESH_MS);
		return onChange((change) => {
			if (change.resync || change.runs?.includes(run_id) || (change.runs?.length === 0 && experiment_id && change.experiments?.includes(experiment_id)))
				soon();
		});
	}, [run_id, experiment_id]);
	const tabs = useRef<HTMLElement>(null);
	useEffect(() => inSight(tabs.current), [tab, !!run.data]);
	useEffect(() => {
		const keys = (event: KeyboardEvent) => {
			const typing = event.target instanceof HTMLElement && /^(input|textarea|select)$/i.test(event.target.tagName);
			const to = TABS[Number(event.key) - 1];
			if (to && !typing && !event.ctrlKey && !event.metaKey && !event.altKey && !document.querySelector('dialog[open]'))
				go(`/runs/${run_id}${to[0] ? `/${to[0]}` : ''}`, true);
		};
		addEventListener('keydown', keys);
		return () => removeEventListener('keydown', keys);
	}, [run_id]);

	if (run.error && !run.data)
		return <div class="page"><Empty title="This run cannot be shown"><Failure error={run.error} retry={run.reload} /><p><a href={href('/experiments')}>See all experiments</a></p></Empty></div>;
	if (!run.data)
		return <Loading what="Loading the run" />;
	const r = run.data;
	const name = r.info.run_name || r.info.run_id;
	document.title = `${name} · tallyd`;
	const deleted = r.info.lifecycle_stage === 'deleted';
	const after = (p: Promise<unknown>) => p.then(run.reload);

	return (
		<>
			<div class="run-head">
				<div class="crumbs"><a href={href('/experiments')}>Experiments</a><span>/</span><a href={href(`/experiments/${r.info.experiment_id}/runs`)}>{experiment.data?.name ?? r.info.experiment_id}</a>{parent_id && <><span>/</span><a href={href(`/runs/${parent_id}`)}>{parent.data?.info.run_name || parent_id.slice(0, 8)}</a></>}</div>
				<div class="head">
					<div class="grow"><h1>{name} {deleted && <span class="tag">Deleted</span>}</h1>
						<div class="sub"><State status={r.info.status} /><span>started <Ago ms={r.info.start_time} /></span><span>{took(r)}</span></div></div>
					<button type="button" class="btn" onClick={() => ask({ title: 'Rename the run', fields: [{ name: 'name', label: 'Name', value: r.info.run_name, required: true }], action: 'Rename', run: (v) => after(runRename(run_id, v['name'] ?? '')) })}>Rename</button>
					<Menu label="Load in Python" panel right>{() => <div class="pad stack"><Code text={`import mlflow\n\nmlflow.set_tracking_uri("${root.replace(/\/$/, '')}")\nrun = mlflow.get_run("${run_id}")\nprint(run.data.params, run.data.metrics)`} /></div>}</Menu>
					{deleted
						? <button type="button" class="btn primary" onClick={() => after(runRestore(run_id)).then(() => say('Restored'), complain)}>Restore</button>
						: <button type="button" class="btn danger" onClick={() => ask({ title: 'Delete the run', text: 'It moves to the deleted runs of its experiment and can be restored.', action: 'Delete', danger: true, run: async () => { await runDelete(run_id); say('Deleted'); go(`/experiments/${r.info.experiment_id}/runs`); } })}>Delete</button>}
				</div>
				<nav class="tabs" ref={tabs} aria-label="Parts of the run">
					{TABS.map(([id, label], i) => <a key={id} href={href(`/runs/${run_id}${id ? `/${id}` : ''}`)} aria-current={tab === id ? 'page' : undefined} title={`Key ${i + 1}`}>{label}{id === 'metrics' && r.data.metrics?.length ? <span class="muted"> {count(r.data.metrics.filter((m) => !m.key.startsWith('system/')).length)}</span> : null}</a>)}
				</nav>
			</div>
			<div class="run-body">
				{tab === '' && <Overview run={r} experimentName={experiment.data?.name} parent={parent.data} parentId={parent_id} children={children.data?.runs ?? []} models={models.data ?? []} versions={versions.data ?? []} after={after} />}
				{tab === 'metrics' && (r.data.metrics?.some((m) => !m.key.startsWith('system/')) ? <RunMetrics run={r} /> : <NoMetrics run={r} system={false} />)}
				{tab === 'system' && (r.data.metrics?.some((m) => m.key.startsWith('system/')) ? <RunMetrics run={r} prefix="system/" /> : <NoMetrics run={r} system />)}
				{tab === 'artifacts' && <Artifacts run={r} models={models.data ?? []} />}
			</div>
		</>
	);
}

function took(run: Run): string {
	const start = num(run.info.start_time);
	const end = num(run.info.end_time);
	return end > 0 ? `took ${duration(end - start)}` : run.info.status === 'RUNNING' ? `running for ${duration(Math.max(0, Date.now() - start))}` : '';
}

function NoMetrics({ run, system }: { run: Run; system: boolean }) {
	return system
		? <Empty title="No system metrics"><p>The client records CPU, memory, disk and GPU when it is asked to:</p><Code text={'import mlflow\n\nmlflow.enable_system_metrics_logging()  # needs: pip install psutil\nwith mlflow.start_run():\n    ...'} /></Empty>
		: <Empty title="No metrics yet"><p>Log one to this run and its curve appears here at once:</p><Code text={`with mlflow.start_run(run_id="${run.info.run_id}"):\n    for step in range(100):\n        mlflow.log_metric("loss", 1 / (step + 1), step=step)`} /></Empty>;
}

interface OverviewProps {
	run: Run;
	experimentName: string | undefined;
	parent: Run | undefined;
	parentId: string | undefined;
	children: RunRow[];
	models: LoggedModel[];
	versions: ModelVersion[];
	after(p: Promise<unknown>): Promise<unknown>;
}

function Overview({ run, experimentName, parent, parentId, children, models, versions, after }: OverviewProps) {
	const id = run.info.run_id;
	const tags = mapOf(run.data.tags);
	const metrics = useMemo(() => [...(run.data.metrics ?? [])].sort((a, b) => compare(a.key, b.key)), [run.data.metrics]);
	const params = useMemo(() => [...(run.data.params ?? [])].sort((a, b) => compare(a.key, b.key)), [run.data.params]);
	const [metricText, setMetricText] = useState('');
	const [paramText, setParamText] = useState('');
	const fits = (text: string) => (x: { key: string }) => x.key.toLowerCase().includes(text.toLowerCase());
	const commit = tags['mlflow.source.git.commit'];
	const repo = tags['mlflow.source.git.repoURL'];
	const start = num(run.info.start_time);
	const end = num(run.info.end_time);
	const outputs = run.outputs?.model_outputs ?? [];
	const inputs = run.inputs?.model_inputs ?? [];
	return (
		<div class="run-cols">
			<div>
				<section class="card"><h2>Details</h2>
					<table class="kv"><tbody>
						<tr><th>Run id</th><td><CopyLine text={id} label="run id" /></td></tr>
						<tr><th>Experiment</th><td><a href={href(`/experiments/${run.info.experiment_id}/runs`)}>{experimentName ?? run.info.experiment_id}</a></td></tr>
						{parentId && <tr><th>Parent</th><td><a href={href(`/runs/${parentId}`)}>{parent?.info.run_name || parentId}</a></td></tr>}
						<tr><th>State</th><td><State status={run.info.status} /></td></tr>
						<tr><th>User</th><td>{tags['mlflow.user'] || run.info.user_id}</td></tr>
						<tr><th>Source</th><td>{tags['mlflow.source.name']}{tags['mlflow.source.type'] && <span class="muted"> {tags['mlflow.source.type'].toLowerCase()}</span>}</td></tr>
						<tr><th>Version (git commit)</th><td>{!commit && !repo && <span class="muted">not recorded</span>}{commit && <CopyLine text={commit} label="commit" />}{tags['mlflow.source.git.branch'] && <div class="muted">branch {tags['mlflow.source.git.branch']}</div>}{repo && <div>{/^https?:/.test(repo) ? <a href={repo} target="_blank" rel="noopener noreferrer">{repo}</a> : <code>{repo}</code>}</div>}</td></tr>
						{tags['mlflow.project.entryPoint'] && <tr><th>Entry point</th><td>{tags['mlflow.project.entryPoint']}</td></tr>}
						<tr><th>Started</th><td>{when(start)}</td></tr>
						<tr><th>Ended</th><td>{end > 0 ? when(end) : <span class="muted">not yet</span>}</td></tr>
						<tr><th>Duration</th><td>{end > 0 ? duration(end - start) : took(run)}</td></tr>
						<tr><th>Artifact Location</th><td>{run.info.artifact_uri && <CopyLine text={run.info.artifact_uri} label="artifact location" />}</td></tr>
					</tbody></table>
				</section>
				<section class="card"><h2>Description</h2><Note text={tags['mlflow.note.content']} what="description" onSave={(text) => after(runSetTag(id, 'mlflow.note.content', text))} /></section>
				<section class="card"><h2>Tags <span class="muted">{ownTags(run.data.tags).length}</span></h2>
					<Tags tags={run.data.tags} onSet={(k, v) => after(runSetTag(id, k, v))} onDelete={(k) => after(runDeleteTag(id, k))} />
					<details class="small"><summary class="muted">Set by the client</summary><table class="kv"><tbody>{(run.data.tags ?? []).filter((t) => t.key.startsWith('mlflow.') && t.key !== 'mlflow.note.content').map((t) => <tr key={t.key}><th>{t.key}</th><td>{t.value}</td></tr>)}</tbody></table></details>
				</section>
				<Datasets inputs={run.inputs?.dataset_inputs ?? []} />
				{(outputs.length > 0 || inputs.length > 0 || versions.length > 0) && (
					<section class="card"><h2>Models</h2>
						<table class="kv"><tbody>
							{outputs.map((o) => <ModelRow key={`o${o.model_id}${o.step}`} run_id={id} id={o.model_id} models={models} what={num(o.step) > 0 ? `output at step ${o.step}` : 'output'} />)}
							{inputs.map((o) => <ModelRow key={`i${o.model_id}`} run_id={id} id={o.model_id} models={models} what="input" />)}
							{versions.map((v) => <tr key={`${v.name}/${v.version}`}><th>Registered</th><td><a href={href(`/models/${encodeURIComponent(v.name)}/${v.version}`)}>{v.name}, version {v.version}</a> {v.aliases?.map((a) => <span class="chip accent" key={a}>@{a}</span>)}</td></tr>)}
						</tbody></table>
					</section>
				)}
				{children.length > 0 && (
					<section class="card"><h2>Children <span class="muted">{children.length}</span></h2>
						<table class="kv"><tbody>{children.map((c) => <tr key={c.info.run_id}><th><a href={href(`/runs/${c.info.run_id}`)}>{c.info.run_name || c.info.run_id}</a></th><td><State status={c.info.status} /> <span class="muted"><Ago ms={c.info.start_time} /></span></td></tr>)}</tbody></table>
					</section>
				)}
			</div>
			<div>
				<section class="card"><h2><span class="grow">Metrics <span class="muted">{metrics.length}</span></span>{metrics.length > 10 && <input class="field" type="search" aria-label="Search metrics" placeholder="Search" value={metricText} onInput={(e) => setMetricText(e.currentTarget.value)} />}</h2>
					{metrics.length === 0 ? <p class="muted">No metrics are logged.</p> : <div class="kv-scroll" tabIndex={0} role="region" aria-label="Metrics"><table class="kv numbers"><tbody>{metrics.filter(fits(metricText)).slice(0, LISTED).map((m) => <tr key={m.key}><th><a href={href(`/runs/${id}/${m.key.startsWith('system/') ? 'system' : 'metrics'}?m=${encodeURIComponent(`^${m.key.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`)}`)}>{m.key}</a></th><td><span class="muted">{num(m.step) > 0 ? `step ${m.step}` : ''}</span></td><td><Value value={m.value} /></td></tr>)}</tbody></table>{metrics.length > LISTED && <p class="muted small">The first {LISTED} of {count(metrics.length)}: search to see others.</p>}</div>}
				</section>
				<section class="card"><h2><span class="grow">Parameters <span class="muted">{params.length}</span></span>{params.length > 10 && <input class="field" type="search" aria-label="Search parameters" placeholder="Search" value={paramText} onInput={(e) => setParamText(e.currentTarget.value)} />}</h2>
					{params.length === 0 ? <p class="muted">No parameters are logged.</p> : <div class="kv-scroll" tabIndex={0} role="region" aria-label="Parameters"><table class="kv"><tbody>{params.filter(fits(paramText)).slice(0, LISTED).map((p) => <tr key={p.key}><th>{p.key}</th><td class="mono">{p.value.length > LONG ? <div class="long" tabIndex={0} role="region" aria-label={p.key}>{p.value}</div> : p.value}</td></tr>)}</tbody></table>{params.length > LISTED && <p class="muted small">The first {LISTED} of {count(params.length)}: search to see others.</p>}</div>}
				</section>
			</div>
		</div>
	);
}

function ModelRow({ run_id, id, models, what }: { run_id: string; id: string; models: LoggedModel[]; what: string }) {
	const model = models.find((m) => m.info.model_id === id);
	return <tr><th>{what[0]!.toUpperCase() + what.slice(1)}</th><td><a href={href(`/runs/${run_id}/artifacts?model=${encodeURIComponent(id)}`)}>{model?.info.name ?? id}</a> <span class="muted">{model ? id : ''} {model?.info.model_type}</span></td></tr>;
}

function Datasets({ inputs }: { inputs: DatasetInput[] }) {
	if (inputs.length === 0)
		return null;
	return (
		<section class="card"><h2>Datasets <span class="muted">{inputs.length}</span></h2>
			{inputs.map(({ dataset: d, tags }) => {
				const context = tagOf(tags, 'mlflow.data.context');
				return (
					<details key={`${d.name}${d.digest}`} class="small">
						<summary><b>{d.name}</b> <span class="muted">{d.digest}</span> {context && <span class="chip">{context}</span>}</summary>
						<table class="kv"><tbody>
							<tr><th>Source</th><td class="wrap">{d.source_type} {pretty(d.source)}</td></tr>
							{d.profile && <tr><th>Profile</th><td class="wrap">{pretty(d.profile)}</td></tr>}
							{d.schema && <tr><th>Schema</th><td>{columnsOf(d.schema) ?? pretty(d.schema)}</td></tr>}
						</tbody></table>
					</details>
				);
			})}
		</section>
	);
}

function pretty(json: string | undefined): string {
	try {
		const value = JSON.parse(json ?? '') as Record<string, unknown>;
		return Object.entries(value).map(([k, v]) => `${k}: ${typeof v === 'object' ? JSON.stringify(v) : String(v)}`).join(', ');
	} catch {
		return json ?? '';
	}
}

function columnsOf(schema: string) {
	try {
		const list = (JSON.parse(schema) as { mlflow_colspec?: { name?: string; type?: string }[] }).mlflow_colspec;
		return list && <ul>{list.map((c, i) => <li key={i}>{c.name} <span class="muted">{c.type}</span></li>)}</ul>;
	} catch {
		return null;
	}
}

/* One version of a registered model: where it came from, aliases, stage, tags, and how to load it. */
import { root } from '../api/client';
import { experimentGet } from '../api/experiments';
import { aliasDelete, aliasSet, modelGet, STAGES, versionDelete, versionDeleteTag, versionDescribe, versionGet, versionSetTag, versionStage } from '../api/models';
import { runGet } from '../api/runs';
import { Ago, Empty, Failure, Loading, Note, Tags } from '../components/bits';
import { Code, CopyLine } from '../components/copy';
import { ask } from '../components/dialog';
import { useLoad } from '../components/load';
import { complain, say } from '../components/toast';
import { when } from '../format';
import { num } from '../api/types';
import type { PageProps } from '../routes';
import { go, href } from '../state/url';

export default function Version({ parts }: PageProps) {
	const [name = '', version = ''] = parts;
	const got = useLoad((abort) => Promise.all([versionGet(name, version, abort), modelGet(name, abort)]), [name, version]);
	const run_id = got.data?.[0].run_id;
	const origin = useLoad(async (abort) => {
		if (!run_id)
			return undefined;
		const run = await runGet(run_id, abort);
		return { run, experiment: await experimentGet(run.info.experiment_id, abort).catch(() => undefined) };
	}, [run_id]);
	document.title = `${name} ${version} · tallyd`;
	if (got.error)
		return <div class="page"><Empty title="This version cannot be shown"><Failure error={got.error} retry={got.reload} /><p><a href={href(`/models/${encodeURIComponent(name)}`)}>See all versions of {name}</a></p></Empty></div>;
	if (!got.data)
		return <Loading what="Loading the version" />;
	const [v, model] = got.data;
	const aliases = (model.aliases ?? []).filter((a) => String(a.version) === version).map((a) => a.alias);
	const after = (p: Promise<unknown>) => p.then(got.reload);
	const uri = aliases[0] ? `models:/${name}@${aliases[0]}` : `models:/${name}/${version}`;
	return (
		<div class="page">
			<div class="head">
				<div class="grow"><div class="crumbs"><a href={href('/models')}>Models</a><span>/</span><a href={href(`/models/${encodeURIComponent(name)}`)}>{name}</a><span>/</span></div><h1>Version {version}</h1>
					<div class="sub"><span>created <Ago ms={v.creation_timestamp} /></span>{v.user_id && <span>by {v.user_id}</span>}</div></div>
				<label class="row">Stage <select class="field" value={v.current_stage || 'None'} onChange={(e) => {
					const stage = e.currentTarget.value;
					e.currentTarget.value = v.current_stage || 'None';
					ask({ title: `Move to ${stage}`, fields: [{ name: 'archive', label: `Other versions in ${stage}`, choices: ['Keep where they are', 'Move to Archived'] }], action: 'Move', run: (x) => after(versionStage(name, version, stage, x['archive'] === 'Move to Archived')) });
				}}>{STAGES.map((s) => <option key={s}>{s}</option>)}</select></label>
				<button type="button" class="btn danger" onClick={() => ask({ title: 'Delete the version', text: 'It is deleted for good. The run and its files stay.', action: 'Delete', danger: true, run: async () => { await versionDelete(name, version); say('Deleted'); go(`/models/${encodeURIComponent(name)}`); } })}>Delete</button>
			</div>
			<div class="cols">
				<section class="card"><h2>Details</h2>
					<table class="kv"><tbody>
						<tr><th>Aliases</th><td><span class="row">{aliases.map((a) => <span class="chip accent" key={a}>@{a}<button type="button" aria-label={`Remove alias ${a}`} onClick={() => after(aliasDelete(name, a)).catch(complain)}>×</button></span>)}
							<button type="button" class="btn small quiet" onClick={() => ask({ title: 'Add an alias', text: 'An alias names one version; set on another version it moves there.', fields: [{ name: 'alias', label: 'Alias', required: true }], action: 'Add', run: (x) => after(aliasSet(name, (x['alias'] ?? '').trim().replace(/^@/, ''), version)) })}>Add alias</button></span></td></tr>
						<tr><th>Status</th><td>{v.status?.replaceAll('_', ' ').toLowerCase()} {v.status_message}</td></tr>
						<tr><th>Run</th><td>{run_id ? <a href={href(`/runs/${run_id}`)}>{origin.data?.run.info.run_name || run_id}</a> : <span class="muted">none</span>}</td></tr>
						<tr><th>Experiment</th><td>{origin.data ? <a href={href(`/experiments/${origin.data.run.info.experiment_id}/runs`)}>{origin.data.experiment?.name ?? origin.data.run.info.experiment_id}</a> : null}</td></tr>
						{v.model_id && <tr><th>Logged model</th><td>{run_id ? <a href={href(`/runs/${run_id}/artifacts?model=${encodeURIComponent(v.model_id)}`)}>{v.model_id}</a> : v.model_id}</td></tr>}
						<tr><th>Source</th><td>{v.source && <CopyLine text={v.source} label="source" />}</td></tr>
						<tr><th>Created</th><td>{when(num(v.creation_timestamp))}</td></tr>
						<tr><th>Changed</th><td>{when(num(v.last_updated_timestamp))}</td></tr>
						<tr><th>Tags</th><td><Tags tags={v.tags} onSet={(k, x) => after(versionSetTag(name, version, k, x))} onDelete={(k) => after(versionDeleteTag(name, version, k))} /></td></tr>
					</tbody></table>
				</section>
				<div class="stack">
					<section class="card stack"><h2>Load it</h2><Code text={`import mlflow\n\nmlflow.set_tracking_uri("${root.replace(/\/$/, '')}")\nmodel = mlflow.pyfunc.load_model("${uri}")\nmodel.predict(data)`} /></section>
					<section class="card"><h2>Description</h2><Note text={v.description} what="description" onSave={(text) => after(versionDescribe(name, version, text))} /></section>
				</div>
			</div>
		</div>
	);
}

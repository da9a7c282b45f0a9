/* One registered model with its versions. */
import { modelDelete, modelDeleteTag, modelDescribe, modelGet, modelRename, modelSetTag, STAGES, versionsOf } from '../api/models';
import { Ago, Empty, Failure, Loading, Note, ownTags, Tags } from '../components/bits';
import { Code } from '../components/copy';
import { ask } from '../components/dialog';
import { useLoad } from '../components/load';
import { say } from '../components/toast';
import { plural } from '../format';
import type { PageProps } from '../routes';
import { go, href } from '../state/url';

export default function Model({ parts }: PageProps) {
	const name = parts[0] ?? '';
	const model = useLoad((abort) => modelGet(name, abort), [name]);
	const versions = useLoad((abort) => versionsOf(name, abort), [name]);
	document.title = `${name} · tallyd`;
	if (model.error)
		return <div class="page"><Empty title="This model cannot be shown"><Failure error={model.error} retry={model.reload} /><p><a href={href('/models')}>See all models</a></p></Empty></div>;
	if (!model.data)
		return <Loading what="Loading the model" />;
	const m = model.data;
	const after = (p: Promise<unknown>) => p.then(model.reload);
	return (
		<div class="page">
			<div class="head">
				<div class="grow"><div class="crumbs"><a href={href('/models')}>Models</a><span>/</span></div><h1>{m.name}</h1><div class="sub"><span>{versions.data ? plural(versions.data.length, 'version') : ''}</span><span>created <Ago ms={m.creation_timestamp} /></span><span>changed <Ago ms={m.last_updated_timestamp} /></span></div></div>
				<button type="button" class="btn" onClick={() => ask({ title: 'Rename the model', fields: [{ name: 'name', label: 'Name', value: m.name, required: true }], action: 'Rename', run: async (v) => { const next = (v['name'] ?? '').trim(); await modelRename(m.name, next); go(`/models/${encodeURIComponent(next)}`, true); } })}>Rename</button>
				<button type="button" class="btn danger" onClick={() => ask({ title: 'Delete the model', text: <><b>{m.name}</b> and all its versions are deleted for good. The runs and their files stay.</>, action: 'Delete', danger: true, run: async () => { await modelDelete(m.name); say('Deleted'); go('/models'); } })}>Delete</button>
			</div>
			<section class="card"><h2>Description</h2><Note text={m.description} what="description" onSave={(text) => after(modelDescribe(m.name, text))} /></section>
			<section class="card"><h2>Tags</h2><Tags tags={m.tags} onSet={(k, v) => after(modelSetTag(m.name, k, v))} onDelete={(k) => after(modelDeleteTag(m.name, k))} /></section>
			<section class="card"><h2>Versions</h2>
				{versions.error ? <Failure error={versions.error} retry={versions.reload} /> : versions.data?.length === 0
					? <><p class="muted">No version yet. Register one from a run's artifacts, or:</p><Code text={`mlflow.register_model("runs:/<run id>/model", "${m.name}")`} /></>
					: (
						<div class="scroll-x" tabIndex={0} role="region" aria-label="Versions">
							<table class="plain">
								<thead><tr><th>Version</th><th>Aliases</th><th>Stage</th><th>Created</th><th>Run</th><th>Tags</th><th>Description</th></tr></thead>
								<tbody>{versions.data?.map((v) => (
									<tr key={v.version}>
										<td><a href={href(`/models/${encodeURIComponent(m.name)}/${v.version}`)}><b>Version {v.version}</b></a>{v.status && v.status !== 'READY' ? <span class="tag">{v.status.replace('_', ' ').toLowerCase()}</span> : null}</td>
										<td><span class="row">{aliases(m.aliases, v.version).map((a) => <span class="chip accent" key={a}>@{a}</span>)}</span></td>
										<td>{v.current_stage && v.current_stage !== STAGES[0] ? <span class="chip">{v.current_stage}</span> : null}</td>
										<td><Ago ms={v.creation_timestamp} /></td>
										<td>{v.run_id ? <a class="mono" href={href(`/runs/${v.run_id}`)}>{v.run_id.slice(0, 8)}</a> : null}</td>
										<td><span class="row">{ownTags(v.tags).map((t) => <span class="chip" key={t.key}>{t.key}: {t.value}</span>)}</span></td>
										<td class="wrap">{(v.description ?? '').slice(0, 120)}</td>
									</tr>
								))}</tbody>
							</table>
						</div>
					)}
			</section>
		</div>
	);
}

function aliases(list: { alias: string; version: string }[] | undefined, version: string): string[] {
	return (list ?? []).filter((a) => String(a.version) === String(version)).map((a) => a.alias);
}

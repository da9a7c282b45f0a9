/* Registered models: name, newest version, aliases, stages, tags. */
import { useEffect, useState } from 'preact/hooks';
import { modelCreate, modelSearch, STAGES } from '../api/models';
import { Ago, Empty, Failure, Loading, ownTags } from '../components/bits';
import { Code } from '../components/copy';
import { ask } from '../components/dialog';
import { useLoad } from '../components/load';
import { count, plural } from '../format';
import { go, href, param } from '../state/url';

const SHOWN = 500;

export default function Models() {
	const q = param('q');
	const [typed, setTyped] = useState(q.value);
	useEffect(() => {
		const timer = setTimeout(() => { q.value = typed.trim(); }, 150);
		return () => clearTimeout(timer);
	}, [typed]);
	const models = useLoad((abort) => modelSearch(q.value, abort), [q.value]);
	document.title = 'Models · tallyd';
	const create = () => ask({
		title: 'New model',
		fields: [{ name: 'name', label: 'Name', required: true, hint: 'Without slashes and colons' }, { name: 'description', label: 'Description (Markdown, optional)', multiline: true }],
		action: 'Create',
		run: async (v) => {
			const name = (v['name'] ?? '').trim();
			await modelCreate(name, v['description'] ?? '');
			go(`/models/${encodeURIComponent(name)}`);
		},
	});
	return (
		<div class="page">
			<div class="head"><h1>Models</h1><input class="field" type="search" data-filter placeholder="Search by name" aria-label="Search models" value={typed} onInput={(e) => setTyped(e.currentTarget.value)} /><span class="grow" /><button type="button" class="btn primary" onClick={create}>New model</button></div>
			{models.error ? <Failure error={models.error} retry={models.reload} /> : !models.data ? <Loading what="Loading models" />
				: models.data.length === 0 ? (q.value ? <Empty title="No model fits"><p>No name contains <b>{q.value}</b>.</p></Empty> : (
					<Empty title="No registered models yet"><p>Register one from a run's artifacts, or while logging it:</p><Code text={'mlflow.sklearn.log_model(model, name="model",\n                         registered_model_name="wine-quality")'} /></Empty>
				)) : (
					<div class="scroll-x" tabIndex={0} role="region" aria-label="Models">
						<table class="plain">
							<thead><tr><th>Name</th><th class="num">Newest version</th><th>Aliases</th><th class="hide-narrow">Stages</th><th>Changed</th><th class="hide-narrow">Tags</th></tr></thead>
							<tbody>
								{models.data.slice(0, SHOWN).map((m) => {
									const newest = Math.max(0, ...(m.latest_versions ?? []).map((v) => Number(v.version)));
									return (
										<tr key={m.name}>
											<td><a href={href(`/models/${encodeURIComponent(m.name)}`)}><b>{m.name}</b></a></td>
											<td class="num">{newest ? <a href={href(`/models/${encodeURIComponent(m.name)}/${newest}`)}>{newest}</a> : <span class="muted">none</span>}</td>
											<td><span class="row">{m.aliases?.map((a) => <span class="chip accent" key={a.alias}>@{a.alias} → {a.version}</span>)}</span></td>
											<td class="hide-narrow"><span class="row">{(m.latest_versions ?? []).filter((v) => v.current_stage && v.current_stage !== STAGES[0]).map((v) => <span class="chip" key={v.version}>{v.current_stage} {v.version}</span>)}</span></td>
											<td><Ago ms={m.last_updated_timestamp} /></td>
											<td class="hide-narrow"><span class="row">{ownTags(m.tags).map((t) => <span class="chip" key={t.key}>{t.key}: {t.value}</span>)}</span></td>
										</tr>
									);
								})}
							</tbody>
						</table>
						<p class="muted small">{models.data.length > SHOWN ? `The first ${count(SHOWN)} of ${plural(models.data.length, 'model')}: search to see others` : plural(models.data.length, 'model')}</p>
					</div>
				)}
		</div>
	);
}

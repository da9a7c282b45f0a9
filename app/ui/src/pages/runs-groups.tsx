/* Runs in groups by params or tags: how many, and mean, spread, least and most of each metric. */
import { post } from '../api/client';
import type { Question } from '../api/runs';
import { num, type RunGroup } from '../api/types';
import { Empty, Failure, Loading } from '../components/bits';
import { useLoad } from '../components/load';
import { quoted, quotedValue } from '../components/query/language';
import { count, exact, short } from '../format';
import { select, selection } from '../state/selection';
import { split } from './runs-columns';

interface Props {
	question: Question;
	by: string[];
	metrics: string[];
	turn: number;
	onOpen(clause: string): void;
}

const SHOWN = 500;
/* the server groups so many of the newest runs */
const GROUPED = 20_000;

export default function Groups({ question, by, metrics, turn, onOpen }: Props) {
	const q = { experiment_ids: question.experiment_ids, filter: question.filter, run_view_type: question.run_view_type, group_by: by, metrics };
	const answer = useLoad((abort) => post<{ groups?: RunGroup[] }>('tallyd/runs/groups', q, abort), [q, turn]);
	if (answer.error)
		return <div class="page"><Failure error={answer.error} retry={answer.reload} /></div>;
	if (!answer.data)
		return <Loading what="Grouping" />;
	const groups = answer.data.groups ?? [];
	if (groups.length === 0)
		return <Empty title="No runs to group"><p>No run fits the filter.</p></Empty>;
	const clause = (g: RunGroup) => by.map((id) => {
		const [kind, key] = split(id);
		const value = g.key[id];
		return value === null || value === undefined ? `${kind}.${quoted(key)} IS NULL` : `${kind}.${quoted(key)} = ${quotedValue(value)}`;
	}).join(' and ');
	return (
		<div class="scroll-x groups" tabIndex={0}>
			<table class="plain">
				<thead><tr><th><span class="sr">Select</span></th>{by.map((b) => <th key={b}>{split(b)[1]}</th>)}<th class="num">Runs</th>{metrics.map((m) => <th class="num" key={m}>{m}<span class="muted"> mean ± sd</span></th>)}<th><span class="sr">Open</span></th></tr></thead>
				<tbody>
					{groups.slice(0, SHOWN).map((g) => {
						const name = by.map((b) => g.key[b] ?? 'none').join(', ');
						const on = g.run_ids.length > 0 && g.run_ids.every((id) => selection.value.has(id));
						return (
							<tr key={JSON.stringify(g.key)}>
								<td><input type="checkbox" aria-label={`Select the runs of ${name}`} checked={on} onChange={(e) => select(g.run_ids, e.currentTarget.checked)} /></td>
								{by.map((b) => <td key={b} title={g.key[b] ?? undefined}>{g.key[b] ?? <span class="muted">none</span>}</td>)}
								<td class="num">{count(g.count)}</td>
								{metrics.map((m) => {
									const s = g.metrics[m];
									if (!s?.count)
										return <td key={m} />;
									const words = [`${s.count} of ${g.count} runs have it`, s.finite < s.count && `${s.count - s.finite} NaN or infinite, left out of the mean`].filter(Boolean).join('\n');
									return <td class="num" key={m}>{s.mean === null ? <span title={words}>NaN</span> : <span title={`mean ${exact(num(s.mean))}\nleast ${exact(num(s.min ?? NaN))}\nmost ${exact(num(s.max ?? NaN))}\n${words}`}>{short(num(s.mean))}<span class="muted"> ± {short(num(s.std))}{s.finite < s.count ? '*' : ''}</span></span>}</td>;
								})}
								<td><button type="button" class="btn small" onClick={() => onOpen(clause(g))}>Open</button></td>
							</tr>
						);
					})}
				</tbody>
			</table>
			{groups.some((g) => Object.values(g.metrics).some((s) => s.finite < s.count)) && <p class="muted small">* without values that are NaN or infinite</p>}
			{groups.reduce((n, g) => n + g.count, 0) >= GROUPED && <p class="muted page">The newest {count(GROUPED)} runs that fit the filter are grouped. Filter to see others.</p>}
			{groups.length > SHOWN && <p class="muted page">The first {count(SHOWN)} of {count(groups.length)} groups. Filter to see others.</p>}
		</div>
	);
}

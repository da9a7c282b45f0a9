/* The curves of the compared runs. */

import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { chartRun, RUNS_MAX, type RunTable } from '../../charts/data';
import { Curves } from '../../charts/panel';

export default function CompareCurves(props: { table: RunTable; baseline: string }): JSX.Element {
	const { table } = props;
	const runs = useMemo(() => table.runs.slice(0, RUNS_MAX).map((r) => chartRun(r, props.baseline)), [table, props.baseline]);
	return (
		<div class="charts">
			<Curves runs={runs} keys={table.metrics} />
			{table.runs.length > RUNS_MAX && (
				<p class="chart-note">
					Drawn: the first {RUNS_MAX} of {table.runs.length} runs.
				</p>
			)}
		</div>
	);
}

/* The list of keys, behind "?". */
import { signal } from '@preact/signals';
import { Dialog } from './dialog';

export const keysShown = signal(false);

export const KEYS: [string, [string[], string][]][] = [
	['Everywhere', [[['/'], 'to the filter'], [['Ctrl', 'K'], 'find experiments, models, runs'], [['?'], 'this list'], [['Esc'], 'close']]],
	['Experiments', [[['↑', '↓'], 'move, also j and k'], [['←', '→'], 'fold and unfold'], [['Enter'], 'open']]],
	['Runs table', [[['↑', '↓'], 'move, also j and k'], [['Space'], 'select'], [['Shift', '↓'], 'select on the way'], [['Enter'], 'open the run'], [['v'], 'show or hide in the charts'], [['b'], 'take as baseline'], [['p'], 'pin to the top'], [['a'], 'select all that match'], [['c'], 'compare the selected'], [['Home', 'End'], 'first, last'], [['Shift', '← →'], 'on a column\'s title: move it']]],
	['Run', [[['1'], 'overview'], [['2'], 'metrics'], [['3'], 'system metrics'], [['4'], 'artifacts']]],
];

export function KeyList() {
	return (
		<div class="cols">
			{KEYS.map(([where, keys]) => (
				<section key={where} class="stack"><h3>{where}</h3>
					<table class="kv"><tbody>{keys.map(([k, what]) => <tr key={what}><th>{k.map((one) => <kbd key={one}>{one}</kbd>)}</th><td>{what}</td></tr>)}</tbody></table>
				</section>
			))}
		</div>
	);
}

export function KeysHelp() {
	return <Dialog title="Keys" wide onClose={() => { keysShown.value = false; }}><KeyList /></Dialog>;
}

/* Files of no kind we show: what they are, and their first bytes. */

import type { JSX } from 'preact';
import { part, sizeWord, Status, useFile, type ViewerProps } from './frame';

const BYTES = 512;

const WORDS: Record<string, string> = {
	pkl: 'A Python pickle: reading it runs code, so it is not opened here. Load it with joblib or pickle only if you trust who wrote it.',
	pickle: 'A Python pickle: reading it runs code, so it is not opened here.',
	joblib: 'A joblib pickle: reading it runs code, so it is not opened here. Load it with joblib.load only if you trust who wrote it.',
	pt: 'PyTorch weights: load them with torch.load.',
	pth: 'PyTorch weights: load them with torch.load.',
	onnx: 'An ONNX model: load it with onnx.load.',
	h5: 'An HDF5 file: open it with h5py or keras.',
	safetensors: 'Weights in safetensors format: load them with safetensors.',
	gz: 'Compressed with gzip.',
};

export default function Hex(props: ViewerProps): JSX.Element {
	const state = useFile(props, (abort) => part(props.run, props.path, 0, BYTES, abort));
	const p = state.value;
	const end = props.path.slice(props.path.lastIndexOf('.') + 1).toLowerCase();
	return (
		<>
			<p class="notice">{WORDS[end] ?? 'There is no viewer for this kind of file. Download it to open it.'}</p>
			<Status of={state} />
			{p && p.bytes.length > 0 && (
				<>
					<p class="muted small">
						First {p.bytes.length} bytes{Number.isFinite(p.total) ? ` of ${sizeWord(p.total)}` : ''}
					</p>
					<pre class="view-hex" tabIndex={0}>
						{dump(p.bytes)}
					</pre>
				</>
			)}
			{p && !p.bytes.length && <p class="muted">The file is empty.</p>}
		</>
	);
}

function dump(bytes: Uint8Array): string {
	const lines: string[] = [];
	for (let i = 0; i < bytes.length; i += 16) {
		const row = [...bytes.subarray(i, i + 16)];
		lines.push(
			`${i.toString(16).padStart(6, '0')}  ${row
				.map((b) => b.toString(16).padStart(2, '0'))
				.join(' ')
				.padEnd(47)}  ${row.map((b) => (b >= 32 && b < 127 ? String.fromCharCode(b) : '·')).join('')}`,
		);
	}
	return lines.join('\n');
}

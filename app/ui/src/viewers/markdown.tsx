/* Markdown, read or as its text. */

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import Rendered from '../components/markdown';
import { href } from '../state/url';
import { Bar, Cut, part, sizeWord, Status, TEXT_MAX, textOf, useFile, viewUrl, type ViewerProps } from './frame';
import { Lines } from './text';

const RENDER_MAX = 500_000;

/* Relative addresses mean files beside this one. */
function placeIn({ run, path }: ViewerProps) {
	return (address: string, picture: boolean): string | undefined => {
		if (/^([a-z][a-z0-9+.-]*:|[/#?])/i.test(address) || !run.run_id) return undefined;
		let file: string;
		try {
			file = decodeURIComponent(new URL(address, new URL(path.split('/').map(encodeURIComponent).join('/'), 'file:///')).pathname.slice(1));
		} catch {
			return undefined;
		}
		if (picture) return viewUrl(run, file);
		return href(`/runs/${run.run_id}/artifacts?path=${encodeURIComponent(file)}${run.model_id ? `&model=${encodeURIComponent(run.model_id)}` : ''}`);
	};
}

export default function Markdown(props: ViewerProps): JSX.Element {
	const [source, setSource] = useState(false);
	const state = useFile(props, (abort) => part(props.run, props.path, 0, TEXT_MAX, abort));
	const p = state.value;
	const plain = source || (p && p.bytes.length > RENDER_MAX);
	return (
		<>
			<Status of={state} />
			{p && !p.whole && (
				<Cut>
					First {sizeWord(p.bytes.length)} of {sizeWord(p.total)} shown. Download the file for the rest.
				</Cut>
			)}
			{p && (
				<>
					<Bar>
						<button type="button" class={`btn small quiet ${source ? 'on' : ''}`} aria-pressed={source} onClick={() => setSource(!source)}>
							Source
						</button>
					</Bar>
					{plain ? <Lines text={textOf(p)} language="markdown" /> : <Rendered text={textOf(p)} place={placeIn(props)} />}
				</>
			)}
		</>
	);
}

/* Markdown, read or as its text. */

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import Rendered from '../components/markdown';
import { Bar, Cut, part, sizeWord, Status, TEXT_MAX, textOf, useFile, type ViewerProps } from './frame';
import { Lines } from './text';

const RENDER_MAX = 500_000;

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
					{plain ? <Lines text={textOf(p)} language="markdown" /> : <Rendered text={textOf(p)} />}
				</>
			)}
		</>
	);
}

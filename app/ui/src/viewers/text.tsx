/* Text and code with line numbers. */

import type { JSX } from 'preact';
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { highlighted, languageOf } from './code';
import { Bar, Cut, part, sizeWord, Status, TEXT_MAX, textOf, useFile, type ViewerProps } from './frame';

const HIGHLIGHT_MAX = 400_000;
const LINES = 5000;

export default function Text(props: ViewerProps): JSX.Element {
	const state = useFile(props, (abort) => part(props.run, props.path, 0, TEXT_MAX, abort));
	const p = state.value;
	return (
		<>
			<Status of={state} />
			{p && !p.whole && (
				<Cut>
					First {sizeWord(p.bytes.length)} of {sizeWord(p.total)} shown. Download the file for the rest.
				</Cut>
			)}
			{p && (p.total === 0 ? <p class="muted">The file is empty.</p> : <Lines text={textOf(p)} language={languageOf(props.path)} />)}
		</>
	);
}

export function Lines(props: { text: string; language: string }): JSX.Element {
	const code = useRef<HTMLElement>(null);
	const [wrap, setWrap] = useState(false);
	const [all, setAll] = useState(false);
	const lines = useMemo(() => props.text.replace(/\n$/, '').split('\n'), [props.text]);
	const cut = !all && lines.length > LINES;
	const text = useMemo(() => (cut ? lines.slice(0, LINES).join('\n') : props.text), [props.text, cut]);
	useLayoutEffect(() => {
		code.current?.replaceChildren(text.length <= HIGHLIGHT_MAX ? highlighted(text, props.language) : document.createTextNode(text));
	}, [text, props.language]);
	const n = cut ? LINES : lines.length;
	return (
		<>
			<Bar>
				<span class="muted small">
					{cut ? `First ${LINES.toLocaleString('en-US')} of ` : ''}
					{lines.length.toLocaleString('en-US')} {lines.length === 1 ? 'line' : 'lines'}
				</span>
				{lines.length > LINES && (
					<button type="button" class="btn small quiet" onClick={() => setAll(!all)}>
						{all ? 'Fewer lines' : 'All lines'}
					</button>
				)}
				<button type="button" class={`btn small quiet ${wrap ? 'on' : ''}`} aria-pressed={wrap} onClick={() => setWrap(!wrap)}>
					Wrap
				</button>
			</Bar>
			<div class={`view-code ${wrap ? 'wrapped' : ''}`} tabIndex={0} role="region" aria-label="File content">
				{!wrap && (
					<pre class="view-numbers" aria-hidden="true">
						{Array.from({ length: n }, (_, i) => i + 1).join('\n')}
					</pre>
				)}
				<pre>
					<code ref={code} />
				</pre>
			</div>
		</>
	);
}

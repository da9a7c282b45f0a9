/* Jupyter notebooks: text, code with highlighting, and outputs. HTML outputs are purified: no script, no style, no form. */

import DOMPurify from 'dompurify';
import type { JSX } from 'preact';
import { useLayoutEffect, useMemo, useRef } from 'preact/hooks';
import Rendered from '../components/markdown';
import { highlighted } from './code';
import { part, sizeWord, Status, textOf, useFile, type ViewerProps } from './frame';
import { parsePython } from './python-json';

const MAX = 20_000_000;
const OUTPUT_MAX = 100_000;
const HTML_MAX = 2_000_000;

interface Output {
	output_type: string;
	text?: string | string[];
	data?: Record<string, string | string[] | object>;
	ename?: string;
	evalue?: string;
	traceback?: string[];
}

interface Cell {
	cell_type: string;
	source?: string | string[];
	execution_count?: number | null;
	outputs?: Output[];
}

const joined = (t: string | string[] | undefined) => (Array.isArray(t) ? t.join('') : (t ?? ''));
/* Colours of a terminal mean nothing here. */
const bare = (t: string) => t.replace(/\x1b\[[0-9;]*[A-Za-z]/g, '');
const capped = (t: string) => (t.length > OUTPUT_MAX ? `${t.slice(0, OUTPUT_MAX)}\n… ${t.length - OUTPUT_MAX} characters more` : t);

export default function Notebook(props: ViewerProps): JSX.Element {
	const state = useFile(props, async (abort) => {
		const p = await part(props.run, props.path, 0, MAX, abort);
		if (!p.whole) throw new Error(`The notebook has ${sizeWord(p.total)}; up to ${sizeWord(MAX)} are shown here.`);
		return parsePython(textOf(p)) as {
			cells?: Cell[];
			metadata?: { language_info?: { name?: string }; kernelspec?: { language?: string } };
		};
	});
	const book = state.value;
	if (!book) return <Status of={state} />;
	const language = book.metadata?.language_info?.name ?? book.metadata?.kernelspec?.language ?? 'python';
	return (
		<div class="view-notebook">
			{(book.cells ?? []).map((cell, i) =>
				cell.cell_type === 'markdown' ? (
					<Rendered key={i} text={joined(cell.source)} />
				) : (
					<section key={i} class="cell">
						<CodeBlock text={joined(cell.source)} language={cell.cell_type === 'code' ? language : ''} count={cell.execution_count} />
						{(cell.outputs ?? []).map((o, k) => (
							<OutputView key={k} output={o} />
						))}
					</section>
				),
			)}
			{!book.cells?.length && <p class="muted">The notebook has no cells.</p>}
		</div>
	);
}

function CodeBlock(props: { text: string; language: string; count?: number | null }): JSX.Element {
	const code = useRef<HTMLElement>(null);
	useLayoutEffect(() => {
		code.current?.replaceChildren(highlighted(props.text, props.language));
	}, [props.text, props.language]);
	return (
		<div class="in">
			<span class="muted count">[{props.count ?? ' '}]</span>
			<pre tabIndex={0}>
				<code ref={code} />
			</pre>
		</div>
	);
}

function OutputView(props: { output: Output }): JSX.Element | null {
	const o = props.output;
	if (o.output_type === 'error')
		return (
			<pre class="out bad" tabIndex={0}>
				{capped(bare(o.traceback?.join('\n') ?? `${o.ename}: ${o.evalue}`))}
			</pre>
		);
	if (o.output_type === 'stream')
		return (
			<pre class="out" tabIndex={0}>
				{capped(bare(joined(o.text)))}
			</pre>
		);
	const data = o.data ?? {};
	const text = (type: string) =>
		typeof data[type] === 'string' || Array.isArray(data[type]) ? joined(data[type] as string | string[]) : '';
	for (const type of ['image/png', 'image/jpeg', 'image/gif', 'image/webp'])
		if (text(type)) return <img class="out" alt="Output of the cell" src={`data:${type};base64,${text(type).replace(/\s/g, '')}`} />;
	if (text('image/svg+xml'))
		return (
			<img class="out" alt="Output of the cell" src={`data:image/svg+xml;charset=utf-8,${encodeURIComponent(text('image/svg+xml'))}`} />
		);
	if (text('text/html')) return <Purified html={text('text/html')} />;
	if (text('text/markdown')) return <Rendered text={text('text/markdown')} />;
	if (data['application/json'])
		return (
			<pre class="out" tabIndex={0}>
				{capped(JSON.stringify(data['application/json'], null, 2))}
			</pre>
		);
	return text('text/plain') ? (
		<pre class="out" tabIndex={0}>
			{capped(text('text/plain'))}
		</pre>
	) : null;
}

/* Style and handlers go before parsing, where the policy would report each one. What this misses the purifier takes. */
function quiet(html: string): string {
	return html
		.replace(/<(style|script)\b[\s\S]*?<\/\1\s*>/gi, '')
		.replace(/<[a-z][^>]*>/gi, (tag) => tag.replace(/\s(?:style|on\w+)\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)/gi, ''));
}

function Purified(props: { html: string }): JSX.Element {
	const box = useRef<HTMLDivElement>(null);
	const clean = useMemo(() => quiet(props.html.slice(0, HTML_MAX)), [props.html]);
	useLayoutEffect(() => {
		box.current?.replaceChildren(
			DOMPurify.sanitize(clean, {
				RETURN_DOM_FRAGMENT: true,
				USE_PROFILES: { html: true },
				FORBID_ATTR: ['style', 'id', 'class', 'src', 'srcset', 'background'],
				FORBID_TAGS: ['style', 'form', 'input', 'button', 'textarea', 'select', 'img', 'video', 'audio'],
			}),
		);
	}, [clean]);
	return <div class="out md scroll-x" ref={box} tabIndex={0} />;
}

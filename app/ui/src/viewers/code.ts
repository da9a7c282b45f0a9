/* Highlighting: Prism cuts the text into tokens, and these become elements. No HTML text anywhere. */

import Prism from './prism-global';
import 'prismjs/components/prism-c';
import 'prismjs/components/prism-cpp';
import 'prismjs/components/prism-bash';
import 'prismjs/components/prism-diff';
import 'prismjs/components/prism-docker';
import 'prismjs/components/prism-go';
import 'prismjs/components/prism-ini';
import 'prismjs/components/prism-java';
import 'prismjs/components/prism-json';
import 'prismjs/components/prism-markdown';
import 'prismjs/components/prism-python';
import 'prismjs/components/prism-r';
import 'prismjs/components/prism-rust';
import 'prismjs/components/prism-sql';
import 'prismjs/components/prism-toml';
import 'prismjs/components/prism-typescript';
import 'prismjs/components/prism-yaml';

const LANGUAGES: Record<string, string> = {};
for (const [language, ends] of Object.entries({
	python: 'py pyi ipy',
	bash: 'sh bash zsh env',
	json: 'json jsonl ndjson ipynb geojson',
	yaml: 'yaml yml mlmodel mlproject lock',
	toml: 'toml',
	ini: 'ini cfg conf properties',
	sql: 'sql',
	javascript: 'js mjs cjs jsx',
	typescript: 'ts tsx',
	c: 'c h cu',
	cpp: 'cc cpp hpp cxx',
	java: 'java kt scala gradle',
	go: 'go',
	rust: 'rs',
	r: 'r rmd',
	markup: 'html htm xml svg xhtml',
	css: 'css scss',
	diff: 'diff patch',
	docker: 'dockerfile',
	markdown: 'md markdown',
}))
	for (const end of ends.split(' ')) LANGUAGES[end] = language;

export function languageOf(path: string): string {
	const name = path.slice(path.lastIndexOf('/') + 1).toLowerCase();
	return LANGUAGES[name.slice(name.lastIndexOf('.') + 1)] ?? '';
}

type Piece = string | { type: string; content: Piece | Piece[]; alias?: string | string[] };

export function highlighted(text: string, language: string): DocumentFragment {
	const out = document.createDocumentFragment();
	const grammar = Prism.languages[language];
	if (grammar) put(out, Prism.tokenize(text, grammar) as Piece[]);
	else out.append(text);
	return out;
}

function put(into: Node, pieces: Piece | Piece[]): void {
	for (const piece of Array.isArray(pieces) ? pieces : [pieces]) {
		if (typeof piece === 'string') {
			into.appendChild(document.createTextNode(piece));
			continue;
		}
		const span = document.createElement('span');
		span.className = `tok ${[piece.type, piece.alias ?? []].flat().join(' ')}`;
		put(span, piece.content);
		into.appendChild(span);
	}
}

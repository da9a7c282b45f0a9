/*
 * The filter language as far as a text box needs it: colours, where an error is, what could come next. The server has
 * the last word; this only helps while typing. No document, so that it can be tested on its own.
 */

export type Kind = 'entity' | 'key' | 'word' | 'op' | 'string' | 'number' | 'dot' | 'paren' | 'comma' | 'bad';

export interface Piece {
	kind: Kind;
	text: string;
	start: number;
	end: number;
}

export interface Trouble {
	at: number;
	message: string;
}

export const ENTITIES: Record<string, 'metrics' | 'params' | 'tags' | 'attributes' | 'datasets'> = {
	metric: 'metrics', metrics: 'metrics', param: 'params', params: 'params', parameter: 'params', parameters: 'params', tag: 'tags', tags: 'tags',
	attribute: 'attributes', attributes: 'attributes', attr: 'attributes', run: 'attributes', dataset: 'datasets', datasets: 'datasets',
};
export const ATTRIBUTES = ['run_name', 'status', 'start_time', 'end_time', 'user_id', 'run_id', 'artifact_uri'];
export const STATUSES = ['RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED'];
const WORDS = /^(and|or|not|like|ilike|in|is|null|rlike|between|exists)$/i;
const PIECE = /\s+|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`|['"`].*$|[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.])|[A-Za-z_][\w/-]*|<=|>=|!=|==|[<>=~.,()]|./gy;

export function pieces(text: string): Piece[] {
	const out: Piece[] = [];
	PIECE.lastIndex = 0;
	for (let m = PIECE.exec(text); m; m = PIECE.exec(text)) {
		const [t] = m;
		if (/^\s/.test(t))
			continue;
		const before = out[out.length - 1];
		const afterDot = before?.kind === 'dot' && before.end === m.index;
		const add = (kind: Kind, s = t, from = m!.index) => out.push({ kind, text: s, start: from, end: from + s.length });
		if (afterDot && /^["'`A-Za-z_\d]/.test(t))
			add(closed(t) ? 'key' : 'bad');
		else if (/^['"`]/.test(t))
			add(closed(t) ? 'string' : 'bad');
		else if (/^[-+.\d]/.test(t) && /\d/.test(t))
			add('number');
		else if (/^[A-Za-z_]/.test(t))
			add(text[m.index + t.length] === '.' ? 'entity' : WORDS.test(t) ? 'word' : 'key');
		else if (t === '.')
			add('dot');
		else if (t === ',')
			add('comma');
		else if (t === '(' || t === ')')
			add('paren');
		else if (/^[<>=!~]/.test(t))
			add(t === '!' ? 'bad' : 'op');
		else
			add('bad');
	}
	return out;
}

function closed(t: string): boolean {
	return !/^["'`]/.test(t) || (t.length > 1 && t[0] === t[t.length - 1]);
}

/* What is wrong, where; null when the text reads well. */
export function trouble(text: string): Trouble | null {
	const p = pieces(text);
	let i = 0;
	const end = text.length;
	const at = () => p[i]?.start ?? end;
	const word = (w: string) => p[i]?.kind === 'word' && p[i]!.text.toLowerCase() === w;
	const fail = (message: string, where = at()): Trouble => ({ at: where, message });

	function expression(depth: number): Trouble | null {
		for (;;) {
			while (word('not'))
				i++;
			if (p[i]?.text === '(') {
				const open = p[i]!.start;
				i++;
				const inner = expression(depth + 1);
				if (inner)
					return inner;
				if (p[i]?.text !== ')')
					return fail('This bracket is not closed', open);
				i++;
			} else {
				const bad = clause();
				if (bad)
					return bad;
			}
			if (!word('and') && !word('or'))
				return null;
			i++;
		}
	}

	function clause(): Trouble | null {
		const head = p[i];
		if (!head)
			return fail('A comparison is missing, such as metrics.rmse < 1');
		if (head.kind === 'bad')
			return fail(/^["'`]/.test(head.text) ? 'This quote is not closed' : `Unexpected ${head.text}`);
		if (head.kind === 'entity') {
			if (!(head.text.toLowerCase() in ENTITIES))
				return fail(`Unknown ${head.text}: use metrics, params, tags, attributes or datasets`);
			i += 2;
			if (!p[i])
				return fail('A name is missing after the dot');
			if (p[i]!.kind === 'bad')
				return fail('This quote is not closed');
			i++;
		} else if (head.kind === 'key' || head.kind === 'string') {
			i++;
		} else {
			return fail(`Expected a name such as metrics.rmse, found ${head.text}`);
		}
		while (p[i] && p[i]!.start === p[i - 1]!.end && (p[i]!.kind === 'dot' || p[i]!.kind === 'key' || p[i]!.kind === 'number'))
			i++;
		if (p[i]?.kind === 'key')
			return fail(`A name with spaces needs backticks: ${head.kind === 'entity' ? `${head.text}.` : ''}\`${text.slice(p[i - 1]!.start, p[i]!.end)}\``);
		if (word('is')) {
			i++;
			if (word('not'))
				i++;
			if (!word('null'))
				return fail('IS is followed by NULL or NOT NULL');
			i++;
			return null;
		}
		if (word('not'))
			i++;
		const list = word('in');
		if (p[i]?.kind !== 'op' && !list && !word('like') && !word('ilike') && !word('rlike') && !word('between'))
			return fail('A comparison is missing here: <, >, =, !=, LIKE, IN');
		const between = word('between');
		i++;
		if (list) {
			if (p[i]?.text !== '(')
				return fail("IN takes a list: ('a', 'b')");
			while (p[i] && p[i]!.text !== ')')
				i++;
			if (!p[i])
				return fail('This list is not closed');
			i++;
			return null;
		}
		const value = p[i];
		if (!value)
			return fail('A value is missing');
		if (value.kind === 'bad')
			return fail(/^["'`]/.test(value.text) ? 'This quote is not closed' : `Unexpected ${value.text}`);
		if (value.kind === 'key' || value.kind === 'word')
			return fail(`Text needs quotes: '${value.text}'`);
		if (value.kind !== 'string' && value.kind !== 'number')
			return fail('A value is missing');
		i++;
		if (between) {
			if (!word('and'))
				return fail('BETWEEN needs AND');
			i += 2;
		}
		return null;
	}

	if (p.length === 0)
		return null;
	const bad = expression(0);
	if (bad)
		return bad;
	return p[i] ? fail(p[i]!.text === ')' ? 'This bracket was never opened' : `Expected and, found ${p[i]!.text}`) : null;
}

export interface Hint {
	/* what the suggestions replace */
	from: number;
	to: number;
	typed: string;
	want: 'name' | 'key' | 'operator' | 'value' | 'join';
	entity?: string;
	key?: string;
}

/* What could be written at the caret. */
export function hint(text: string, caret: number): Hint {
	const p = pieces(text.slice(0, caret));
	const last = p[p.length - 1];
	const touching = last && last.end === caret;
	const back = (n: number) => p[p.length - n];
	if (!last)
		return { from: caret, to: caret, typed: '', want: 'name' };
	if (last.kind === 'dot')
		return { from: caret, to: caret, typed: '', want: 'key', entity: ENTITIES[back(2)?.text.toLowerCase() ?? ''] };
	if (touching && back(2)?.kind === 'dot' && (last.kind === 'key' || last.kind === 'bad'))
		return { from: last.start, to: caret, typed: last.text.replace(/["'`]/g, ''), want: 'key', entity: ENTITIES[back(3)?.text.toLowerCase() ?? ''] };
	const starts = (n: number) => { const q = back(n); return !q || q.text === '(' || /^(and|or|not)$/i.test(q.text); };
	if (touching && (last.kind === 'key' || last.kind === 'entity') && starts(2))
		return { from: last.start, to: caret, typed: last.text, want: 'name' };
	if (!touching && starts(1))
		return { from: caret, to: caret, typed: '', want: 'name' };
	if (last.kind === 'op' || (last.kind === 'word' && /^(like|ilike|rlike|in|between)$/i.test(last.text)))
		return { from: caret, to: caret, typed: '', want: 'value', ...nameBefore(p, p.length - 1) };
	if (touching && (last.kind === 'bad' || last.kind === 'key') && (back(2)?.kind === 'op' || back(2)?.kind === 'word'))
		return { from: last.start, to: caret, typed: last.text.replace(/["'`]/g, ''), want: 'value', ...nameBefore(p, p.length - 2) };
	if (last.kind === 'key' && !touching)
		return { from: caret, to: caret, typed: '', want: 'operator', ...nameBefore(p, p.length) };
	const typed = touching && last.kind === 'word' ? last.text : '';
	if ((last.kind === 'string' || last.kind === 'number' || last.text === ')' || typed) && (!touching || typed))
		return { from: caret - typed.length, to: caret, typed, want: 'join' };
	return { from: caret, to: caret, typed: '', want: 'join' };
}

function nameBefore(p: Piece[], i: number): { entity?: string; key?: string } {
	const key = p[i - 1];
	if (!key)
		return {};
	const name = key.text.replace(/^["'`]|["'`]$/g, '');
	return p[i - 2]?.kind === 'dot' ? { entity: ENTITIES[p[i - 3]?.text.toLowerCase() ?? ''], key: name } : { entity: 'attributes', key: name };
}

/* The text as the server reads it: a name such as metrics.val/loss or params.a.b gets its backticks. */
export function mended(text: string): string {
	const p = pieces(text);
	let out = '';
	let done = 0;
	for (let i = 0; i + 2 < p.length; i++) {
		if (p[i]!.kind !== 'entity' || p[i + 1]!.kind !== 'dot' || /^["'`]/.test(p[i + 2]!.text))
			continue;
		const first = p[i + 2]!;
		let last = i + 2;
		while (p[last + 1]?.start === p[last]!.end && /^(dot|key|number)$/.test(p[last + 1]!.kind))
			last++;
		const key = text.slice(first.start, p[last]!.end);
		out += text.slice(done, first.start) + quoted(key);
		done = p[last]!.end;
		i = last;
	}
	return out + text.slice(done);
}

/* A key as it is written after the dot. */
export function quoted(key: string): string {
	return /^[A-Za-z_]\w*$/.test(key) ? key : key.includes('`') ? `"${key}"` : `\`${key}\``;
}

/* A text value as it is written after the operator. */
export function quotedValue(value: string): string {
	return value.includes("'") ? `"${value}"` : `'${value}'`;
}

/* Puts a clause behind what is there. */
export function andAlso(text: string, clause: string): string {
	const old = text.trim();
	if (!old)
		return clause;
	return /\bor\b/i.test(old) && !old.startsWith('(') ? `(${old}) and ${clause}` : `${old} and ${clause}`;
}

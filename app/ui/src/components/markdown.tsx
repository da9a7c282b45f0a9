/*
 * Markdown as elements, never as HTML text: marked only cuts it into tokens. Raw HTML in a description is shown as the
 * text it is. Links go out only to http, https, mailto and relative addresses.
 */
import { lexer, type Token, type Tokens } from 'marked';
import type { ComponentChildren } from 'preact';

const ENTITIES: Record<string, string> = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'" };

function plain(text: string): string {
	return text.replace(/&(?:amp|lt|gt|quot|#39);/g, (e) => ENTITIES[e] ?? e);
}

function safe(href: string): string | undefined {
	return /^(https?:|mailto:|[^a-z]|[a-z0-9_./-]+$)/i.test(href) && !/^\s*(javascript|data|vbscript):/i.test(href) ? href : undefined;
}

/* Where a relative address leads: a page or, for a picture, the file. */
export type Place = (address: string, picture: boolean) => string | undefined;

function many(tokens: Token[] | undefined, place?: Place): ComponentChildren {
	return (tokens ?? []).map((t, i) => one(t, i, place));
}

function one(token: Token, key: number, place?: Place): ComponentChildren {
	switch (token.type) {
	case 'heading': {
		const H = `h${Math.min(6, (token as Tokens.Heading).depth + 2)}` as 'h3';
		return <H key={key}>{many(token.tokens, place)}</H>;
	}
	case 'paragraph':
		return <p key={key}>{many(token.tokens, place)}</p>;
	case 'blockquote':
		return <blockquote key={key}>{many(token.tokens, place)}</blockquote>;
	case 'list': {
		const list = token as Tokens.List;
		const items = list.items.map((item, i) => <li key={i}>{item.task && <input type="checkbox" checked={item.checked} disabled aria-label="Done" />}{many(item.tokens, place)}</li>);
		return list.ordered ? <ol key={key} start={Number(list.start) || 1}>{items}</ol> : <ul key={key}>{items}</ul>;
	}
	case 'code':
		return <pre key={key} tabIndex={0}><code>{(token as Tokens.Code).text}</code></pre>;
	case 'hr':
		return <hr key={key} />;
	case 'table': {
		const table = token as Tokens.Table;
		return (
			<div class="scroll-x" key={key} tabIndex={0}>
				<table>
					<thead><tr>{table.header.map((c, i) => <th key={i}>{many(c.tokens, place)}</th>)}</tr></thead>
					<tbody>{table.rows.map((r, i) => <tr key={i}>{r.map((c, j) => <td key={j}>{many(c.tokens, place)}</td>)}</tr>)}</tbody>
				</table>
			</div>
		);
	}
	case 'strong':
		return <strong key={key}>{many(token.tokens, place)}</strong>;
	case 'em':
		return <em key={key}>{many(token.tokens, place)}</em>;
	case 'del':
		return <del key={key}>{many(token.tokens, place)}</del>;
	case 'codespan':
		return <code key={key}>{plain((token as Tokens.Codespan).text)}</code>;
	case 'br':
		return <br key={key} />;
	case 'link': {
		const link = token as Tokens.Link;
		const near = place?.(link.href, false);
		if (near)
			return <a key={key} href={near} title={link.title ?? undefined}>{many(link.tokens, place)}</a>;
		const to = safe(link.href);
		return to ? <a key={key} href={to} target="_blank" rel="noopener noreferrer" title={link.title ?? undefined}>{many(link.tokens, place)}</a> : <span key={key}>{many(link.tokens, place)}</span>;
	}
	case 'image': {
		const near = place?.((token as Tokens.Image).href, true);
		if (near)
			return <img key={key} src={near} alt={(token as Tokens.Image).text} loading="lazy" />;
		/* img-src allows this server only: a picture from elsewhere becomes a link to it */
		return <a key={key} href={safe((token as Tokens.Image).href)} target="_blank" rel="noopener noreferrer">{(token as Tokens.Image).text || 'picture'}</a>;
	}
	case 'space':
	case 'checkbox':
		return null;
	case 'text':
		return (token as Tokens.Text).tokens ? many((token as Tokens.Text).tokens, place) : plain((token as Tokens.Text).text);
	default:
		return plain('text' in token && typeof token.text === 'string' ? token.text : token.raw);
	}
}

export default function Markdown({ text, place }: { text: string; place?: Place }) {
	return <div class="md">{many(lexer(text), place)}</div>;
}

/* Copying. On plain http there is no secure context and no navigator.clipboard, so a selection does it there. */
import { useState } from 'preact/hooks';
import { Icon } from './icon';
import { say } from './toast';

export async function copy(text: string): Promise<boolean> {
	try {
		await navigator.clipboard.writeText(text);
		return true;
	} catch {
		const area = document.createElement('textarea');
		area.value = text;
		area.className = 'sr';
		/* inside an open dialog the rest of the page is inert and cannot be selected */
		(document.querySelector('dialog[open]') ?? document.body).append(area);
		area.select();
		const done = document.execCommand('copy');
		area.remove();
		return done;
	}
}

export function CopyButton({ text, label = 'Copy' }: { text: string; label?: string }) {
	const [done, setDone] = useState(false);
	const run = async () => {
		if (await copy(text)) {
			setDone(true);
			setTimeout(() => setDone(false), 1500);
		} else {
			say('The browser did not allow copying. Select the text and copy it by hand.', true);
		}
	};
	return <button type="button" class="copy" title={done ? 'Copied' : label} aria-label={done ? 'Copied' : label} onClick={run}><Icon name={done ? 'check' : 'copy'} /></button>;
}

/* A value in code type with its copy button. */
export function CopyLine({ text, label }: { text: string; label: string }) {
	return <span class="copyline"><code title={text}>{text}</code><CopyButton text={text} label={`Copy ${label}`} /></span>;
}

export function Code({ text }: { text: string }) {
	const [done, setDone] = useState(false);
	return (
		<div class="code">
			<pre tabIndex={0} aria-label="Code">{text}</pre>
			<button type="button" class="btn small" onClick={async () => { setDone(await copy(text)); setTimeout(() => setDone(false), 1500); }}>{done ? 'Copied' : 'Copy'}</button>
		</div>
	);
}

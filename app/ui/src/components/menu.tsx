/* A button with a list under it. Arrows move, Escape closes, a click outside closes. */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

interface Props {
	label: ComponentChildren;
	/* for buttons that show a mark only */
	name?: string;
	/* for panels under a button with more than a word on it */
	panelName?: string;
	class?: string;
	right?: boolean;
	/* the list holds fields rather than commands */
	panel?: boolean;
	disabled?: boolean;
	children: (close: () => void) => ComponentChildren;
}

export function Menu({ label, name, panelName, class: cls = 'btn', right, panel, disabled, children }: Props) {
	const [open, setOpen] = useState(false);
	const host = useRef<HTMLSpanElement>(null);
	const button = useRef<HTMLButtonElement>(null);
	const close = () => {
		setOpen(false);
		button.current?.focus();
	};
	useEffect(() => {
		if (!open)
			return;
		const outside = (event: Event) => {
			if (event.target instanceof Node && !host.current?.contains(event.target))
				setOpen(false);
		};
		document.addEventListener('pointerdown', outside);
		host.current?.querySelector<HTMLElement>('.menu input, .menu button, .menu a')?.focus();
		return () => document.removeEventListener('pointerdown', outside);
	}, [open]);
	const keys = (event: KeyboardEvent) => {
		if (!open)
			return;
		if (event.key === 'Escape') {
			event.stopPropagation();
			close();
		} else if (!panel && (event.key === 'ArrowDown' || event.key === 'ArrowUp')) {
			event.preventDefault();
			event.stopPropagation();
			const items = [...(host.current?.querySelectorAll<HTMLElement>('.menu button:not(:disabled), .menu a') ?? [])];
			const at = items.indexOf(document.activeElement as HTMLElement);
			items[(at + (event.key === 'ArrowDown' ? 1 : -1) + items.length) % items.length]?.focus();
		}
	};
	return (
		<span class="menu-host" ref={host} onKeyDown={keys}>
			<button type="button" ref={button} class={cls} disabled={disabled} aria-label={name} title={name} aria-haspopup={panel ? 'dialog' : 'true'} aria-expanded={open} onClick={() => setOpen(!open)}>{label}</button>
			{open && <div class={`menu${right ? ' right' : ''}`} role={panel ? 'dialog' : undefined} aria-label={panel ? panelName ?? name ?? (typeof label === 'string' ? label : 'Options') : undefined}>{children(close)}</div>}
		</span>
	);
}

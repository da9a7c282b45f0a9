/* A component that is fetched when it is first drawn. */

import type { ComponentType, JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { explain } from '../api/client';

export function later<P extends object>(load: () => Promise<ComponentType<P>>): (props: P) => JSX.Element {
	let ready: ComponentType<P> | null = null;
	return (props: P) => {
		const [, again] = useState(0);
		const [error, setError] = useState('');
		useEffect(() => {
			let here = true;
			if (!ready)
				load().then(
					(c) => {
						ready = c;
						if (here) again((n) => n + 1);
					},
					(e) => here && setError(explain(e)),
				);
			return () => {
				here = false;
			};
		}, []);
		const Ready = ready;
		if (Ready) return <Ready {...props} />;
		return error ? (
			<p class="notice bad" role="alert">
				This part of the page could not be loaded: {error}. Reload the page.
			</p>
		) : (
			<p class="muted" role="status">
				Loading…
			</p>
		);
	};
}

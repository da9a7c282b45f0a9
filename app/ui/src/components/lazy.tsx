/* A component fetched when it is first shown. A deploy in between changes the file names: then the page is loaded anew. */
import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Failure } from './bits';

export function lazy<P extends object>(load: () => Promise<{ default: ComponentType<P> }>): ComponentType<P> {
	let loaded: ComponentType<P> | undefined;
	return function Lazy(props: P) {
		const [, setReady] = useState(!!loaded);
		const [error, setError] = useState<unknown>();
		useEffect(() => {
			if (loaded)
				return;
			let here = true;
			load().then(
				(module) => {
					loaded = module.default;
					if (here)
						setReady(true);
				},
				(problem: unknown) => here && setError(problem),
			);
			return () => { here = false; };
		}, []);
		if (loaded) {
			const Ready = loaded;
			return <Ready {...props} />;
		}
		return error ? <Failure error={new Error('A part of the page could not be loaded; the server may have been updated meanwhile.')} retry={() => location.reload()} /> : null;
	};
}

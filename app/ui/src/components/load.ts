/* Loads something for a component: aborts what is overtaken, keeps the old answer while asking again. */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { aborted, AGAIN_MS, passing } from '../api/client';

export interface Load<T> {
	data: T | undefined;
	error: unknown;
	loading: boolean;
	reload(): void;
}

export function useLoad<T>(load: (abort: AbortSignal) => Promise<T>, deps: readonly unknown[]): Load<T> {
	const key = JSON.stringify(deps);
	const [state, setState] = useState<{ key: string; data?: T; error?: unknown; loading: boolean }>({ key, loading: true });
	const [turn, setTurn] = useState(0);
	const latest = useRef(load);
	latest.current = load;
	useEffect(() => {
		const abort = new AbortController();
		setState((old) => (old.key === key ? { ...old, loading: true } : { key, loading: true }));
		latest.current(abort.signal).then(
			(data) => {
				if (!abort.signal.aborted)
					setState({ key, data, loading: false });
			},
			(error: unknown) => {
				if (!abort.signal.aborted && !aborted(error))
					setState((old) => ({ ...old, key, error, loading: false }));
			},
		);
		return () => abort.abort();
	}, [key, turn]);
	const reload = useCallback(() => setTurn((t) => t + 1), []);
	useEffect(() => {
		if (!passing(state.error))
			return;
		const timer = setTimeout(reload, AGAIN_MS);
		return () => clearTimeout(timer);
	}, [state.error]);
	const current = state.key === key ? state : { loading: true, data: undefined, error: undefined };
	return { data: current.data, error: current.error, loading: current.loading, reload };
}

/* Calls back at most once in `wait` ms, also after the last call. */
export function throttle(run: () => void, wait: number | (() => number)): () => void {
	let last = 0;
	let timer = 0;
	return () => {
		if (timer)
			return;
		timer = window.setTimeout(() => {
			timer = 0;
			last = Date.now();
			run();
		}, Math.max(0, last + (typeof wait === 'number' ? wait : wait()) - Date.now()));
	};
}

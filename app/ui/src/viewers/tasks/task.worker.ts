/* Does one task away from the page; see index.ts. */
import { load, type TaskName } from './index';

interface Scope {
	onmessage: ((event: MessageEvent<{ name: TaskName; input: never }>) => void) | null;
	postMessage(data: unknown): void;
}

const scope = self as unknown as Scope;

scope.onmessage = async (event) => {
	try {
		scope.postMessage({ value: await (await load(event.data.name)).default(event.data.input) });
	} catch (error) {
		scope.postMessage({ error: error instanceof Error ? error.message : String(error) });
	}
};

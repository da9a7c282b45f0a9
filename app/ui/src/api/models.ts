/* The registry: registered models and their versions. */
import { get, post, send } from './client';
import type { ModelVersion, RegisteredModel } from './types';

export const STAGES = ['None', 'Staging', 'Production', 'Archived'];

export async function modelSearch(text: string, abort?: AbortSignal): Promise<RegisteredModel[]> {
	const out: RegisteredModel[] = [];
	let page_token: string | undefined;
	do {
		const filter = text ? `name ILIKE '%${text.replaceAll("'", '')}%'` : undefined;
		const answer = await get<{ registered_models?: RegisteredModel[]; next_page_token?: string }>('mlflow/registered-models/search', { filter, max_results: 1000, page_token }, abort);
		out.push(...(answer.registered_models ?? []));
		page_token = answer.next_page_token || undefined;
	} while (page_token && out.length < 5000);
	return out;
}

export const modelGet = (name: string, abort?: AbortSignal) => get<{ registered_model: RegisteredModel }>('mlflow/registered-models/get', { name }, abort).then((a) => a.registered_model);

export async function versionsOf(name: string, abort?: AbortSignal): Promise<ModelVersion[]> {
	const out: ModelVersion[] = [];
	let page_token: string | undefined;
	do {
		const answer = await get<{ model_versions?: ModelVersion[]; next_page_token?: string }>('mlflow/model-versions/search', { filter: `name = '${name.replaceAll("'", "\\'")}'`, max_results: 1000, page_token }, abort);
		out.push(...(answer.model_versions ?? []));
		page_token = answer.next_page_token || undefined;
	} while (page_token && out.length < 5000);
	return out.sort((a, b) => Number(b.version) - Number(a.version));
}

export const versionGet = (name: string, version: string, abort?: AbortSignal) => get<{ model_version: ModelVersion }>('mlflow/model-versions/get', { name, version }, abort).then((a) => a.model_version);
export const modelCreate = (name: string, description: string) => post('mlflow/registered-models/create', { name, description });
export const modelRename = (name: string, new_name: string) => post('mlflow/registered-models/rename', { name, new_name });
export const modelDescribe = (name: string, description: string) => send('PATCH', 'mlflow/registered-models/update', { name, description });
export const modelDelete = (name: string) => send('DELETE', 'mlflow/registered-models/delete', { name });
export const modelSetTag = (name: string, key: string, value: string) => post('mlflow/registered-models/set-tag', { name, key, value });
export const modelDeleteTag = (name: string, key: string) => send('DELETE', 'mlflow/registered-models/delete-tag', { name, key });
export const aliasSet = (name: string, alias: string, version: string) => post('mlflow/registered-models/alias', { name, alias, version });
export const aliasDelete = (name: string, alias: string) => send('DELETE', 'mlflow/registered-models/alias', { name, alias });
export const versionDescribe = (name: string, version: string, description: string) => send('PATCH', 'mlflow/model-versions/update', { name, version, description });
export const versionDelete = (name: string, version: string) => send('DELETE', 'mlflow/model-versions/delete', { name, version });
export const versionStage = (name: string, version: string, stage: string, archive_existing_versions: boolean) => post('mlflow/model-versions/transition-stage', { name, version, stage, archive_existing_versions });
export const versionSetTag = (name: string, version: string, key: string, value: string) => post('mlflow/model-versions/set-tag', { name, version, key, value });
export const versionDeleteTag = (name: string, version: string, key: string) => send('DELETE', 'mlflow/model-versions/delete-tag', { name, version, key });

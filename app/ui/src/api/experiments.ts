/* Experiments: the whole list (ten thousand is fine), one, and what changes them. */
import { get, post } from './client';
import type { Experiment, RunCount } from './types';

export type Which = 'ACTIVE_ONLY' | 'DELETED_ONLY' | 'ALL';

export const experimentList = (view_type: Which, abort?: AbortSignal) =>
	get<{ experiments?: Experiment[] }>('tallyd/experiments', { view_type, counts: 'false' }, abort).then((a) => a.experiments ?? []);
/* Of each experiment that has runs; counting reads every run, so the list does not wait for it. */
export const experimentCounts = (abort?: AbortSignal) =>
	get<{ counts?: RunCount[] }>('tallyd/experiments/counts', {}, abort).then((a) => new Map((a.counts ?? []).map((c) => [c.experiment_id, c])));
export const experimentGet = (experiment_id: string, abort?: AbortSignal) =>
	get<{ experiment: Experiment }>('mlflow/experiments/get', { experiment_id }, abort).then((a) => a.experiment);
export const experimentCreate = (name: string, artifact_location: string) =>
	post<{ experiment_id: string }>('mlflow/experiments/create', artifact_location ? { name, artifact_location } : { name });
export const experimentRename = (experiment_id: string, new_name: string) => post('mlflow/experiments/update', { experiment_id, new_name });
export const experimentDelete = (experiment_id: string) => post('mlflow/experiments/delete', { experiment_id });
export const experimentRestore = (experiment_id: string) => post('mlflow/experiments/restore', { experiment_id });
export const experimentSetTag = (experiment_id: string, key: string, value: string) => post('mlflow/experiments/set-experiment-tag', { experiment_id, key, value });
export const experimentDeleteTag = (experiment_id: string, key: string) => post('mlflow/experiments/delete-experiment-tag', { experiment_id, key });

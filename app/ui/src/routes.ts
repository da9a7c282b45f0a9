/* Which page an application path names. */
import type { ComponentType } from 'preact';
import { lazy } from './components/lazy';

export interface PageProps {
	/* the parts of the path in brackets below, decoded */
	parts: string[];
}

type PageModule = Promise<{ default: ComponentType<PageProps> }>;

interface Route {
	pattern: RegExp;
	page: ComponentType<PageProps>;
	/* the entry of the top bar it belongs to */
	nav: 'experiments' | 'models' | 'settings';
}

const experiments = lazy<PageProps>(() => import('./pages/experiments') as PageModule);
const runs = lazy<PageProps>(() => import('./pages/runs') as PageModule);
const compare = lazy<PageProps>(() => import('./pages/compare') as unknown as PageModule);
const run = lazy<PageProps>(() => import('./pages/run') as PageModule);
const models = lazy<PageProps>(() => import('./pages/models') as PageModule);
const model = lazy<PageProps>(() => import('./pages/model') as PageModule);
const version = lazy<PageProps>(() => import('./pages/version') as PageModule);
const settings = lazy<PageProps>(() => import('./pages/settings') as PageModule);
const missing = lazy<PageProps>(() => import('./pages/not-found') as PageModule);

const ROUTES: Route[] = [
	{ pattern: /^\/(?:experiments\/?)?$/, page: experiments, nav: 'experiments' },
	{ pattern: /^\/experiments\/([\d,]+)(?:\/(runs|charts))?\/?$/, page: runs, nav: 'experiments' },
	{ pattern: /^\/experiments\/([\d,]+)\/compare\/?$/, page: compare, nav: 'experiments' },
	{ pattern: /^\/runs\/([\w-]+)(?:\/(metrics|system|artifacts))?\/?$/, page: run, nav: 'experiments' },
	{ pattern: /^\/models\/?$/, page: models, nav: 'models' },
	{ pattern: /^\/models\/([^/]+)\/?$/, page: model, nav: 'models' },
	{ pattern: /^\/models\/([^/]+)\/(\d+)\/?$/, page: version, nav: 'models' },
	{ pattern: /^\/settings\/?$/, page: settings, nav: 'settings' },
	{ pattern: /^/, page: missing, nav: 'experiments' },
];

export function routeOf(path: string): { page: ComponentType<PageProps>; parts: string[]; nav: Route['nav'] } {
	for (const { pattern, page, nav } of ROUTES) {
		const found = pattern.exec(path);
		if (found)
			return { page, nav, parts: found.slice(1).map((p) => decodeURIComponent(p ?? '')) };
	}
	throw new Error('the last route fits every path');
}

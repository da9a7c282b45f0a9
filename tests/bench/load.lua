-- One script for wrk; KIND chooses the workload. Runs are read from the file RUNS, keys and steps differ in each request (or ON CONFLICT would hide the work).
local kind = os.getenv("KIND")
local prefix = os.getenv("PREFIX") or "/api/2.0/mlflow"
local json = { ["Content-Type"] = "application/json" }
local runs = {}
for line in io.lines(os.getenv("RUNS")) do runs[#runs + 1] = line end
local seed = tonumber(os.getenv("SEED") or "1")
local n = 0
local created = nil

function init(args)
	math.randomseed(seed)
	n = seed * 10000000
end

local function run() return runs[math.random(#runs)] end

local function batch(size)
	local parts = {}
	for i = 1, size do
		n = n + 1
		parts[i] = string.format('{"key":"k%d","value":%.6f,"timestamp":%d,"step":%d}', i % 10, math.random(), 1700000000000 + n, n)
	end
	return string.format('{"run_id":"%s","metrics":[%s]}', run(), table.concat(parts, ","))
end

local filters = {
	search = '{"experiment_ids":["%s"],"max_results":100}',
	filter = '{"experiment_ids":["%s"],"max_results":100,"filter":"metrics.mae < 0.5 and params.alpha = \'0.5\'","order_by":["metrics.mae ASC"]}',
	page1000 = '{"experiment_ids":["%s"],"max_results":1000}',
}

function request()
	n = n + 1
	if kind == "metric" then
		return wrk.format("POST", prefix .. "/runs/log-metric", json,
			string.format('{"run_id":"%s","key":"k%d","value":%.6f,"timestamp":%d,"step":%d}', run(), math.random(5), math.random(), 1700000000000 + n, n))
	elseif kind == "batch5" then
		return wrk.format("POST", prefix .. "/runs/log-batch", json, batch(5))
	elseif kind == "batch100" then
		return wrk.format("POST", prefix .. "/runs/log-batch", json, batch(100))
	elseif kind == "batch1000" then
		return wrk.format("POST", prefix .. "/runs/log-batch", json, batch(1000))
	elseif kind == "create" then
		return wrk.format("POST", prefix .. "/runs/create", json,
			string.format('{"experiment_id":"%s","user_id":"u","start_time":%d,"run_name":"r%d"}', os.getenv("EXPERIMENT"), n, n))
	elseif kind == "finish" then
		return wrk.format("POST", prefix .. "/runs/update", json, string.format('{"run_id":"%s","status":"FINISHED","end_time":%d}', run(), n))
	elseif kind == "get" then
		return wrk.format("GET", prefix .. "/runs/get?run_id=" .. run())
	elseif kind == "history" then
		return wrk.format("GET", prefix .. "/metrics/get-history?run_id=" .. runs[1] .. "&metric_key=loss")
	elseif filters[kind] then
		return wrk.format("POST", prefix .. "/runs/search", json, string.format(filters[kind], os.getenv("EXPERIMENT")))
	end
	error("unknown KIND")
end


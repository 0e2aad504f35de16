-- Sends the requests of a plan in turn, over and over, and reports what came back as JSON.
--
-- Arguments: the plan's path, the number of answers after which to stop (0: when wrk's time is up),
-- and the path of a file that gets the bodies of the answers, one a line, if not empty. A plan is a sequence of "<length>\n<raw request>"; whole requests, so that their headers
-- differ too. wrk must run with one thread: each has variables of its own.

local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } moment;
  int clock_gettime(int clock, moment *now);
  int getpid(void);
  int kill(int pid, int signal);
]]
local MONOTONIC, INTERRUPT = 1, 2

local function now()
  local moment = ffi.new("moment")
  ffi.C.clock_gettime(MONOTONIC, moment)
  return tonumber(moment.seconds) + tonumber(moment.nanoseconds) / 1e9
end

local thread
local plan, limit, bodies = {}, 0, nil
sent, answered, refused, status, first, last = -1, 0, 0, 0, 0, 0 -- wrk looks at one unsent

function setup(only)
  thread = only
end

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  for length in file:lines() do
    plan[#plan + 1] = file:read(tonumber(length))
  end
  file:close()
  limit = tonumber(arguments[2])
  if arguments[3] ~= "" then
    bodies = assert(io.open(arguments[3], "w"))
    bodies:setvbuf("line")
  end
end

function request()
  sent = sent + 1
  if sent == 1 then
    first = now()
  end
  return plan[sent % #plan + 1]
end

function response(code, headers, body)
  answered = answered + 1
  last = now()
  if code < 200 or code > 299 then
    refused, status = refused + 1, code
  end
  if bodies then
    bodies:write(body, "\n")
  end
  if answered == limit then
    wrk.thread:stop() -- at once, as some requests are good only once,
    ffi.C.kill(ffi.C.getpid(), INTERRUPT) -- and wrk too, which would sleep on
  end
end

-- A rate is what was answered, over the time to the last answer: whatever is under way when the
-- time is up has cost a slow server much of that time, and must not count against it.
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"sent": %d, "answered": %d, "refused": %d, "status": %d, "broken": %d,' ..
    ' "seconds": %.6f, "p50": %.6f, "p99": %.6f}\n',
    thread:get("sent"), thread:get("answered"), thread:get("refused"), thread:get("status"),
    errors.connect + errors.read + errors.write + errors.timeout,
    thread:get("last") - thread:get("first"),
    latency:percentile(50) / 1e6, latency:percentile(99) / 1e6))
end

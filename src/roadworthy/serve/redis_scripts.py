"""The steps of a queue in Redis as Lua: each is done whole or not at all, whoever else is at work.

A job is a hash; its entry waits in a stream, or its id in the sorted set of those that are due later. ARGV[1] is the
beginning of every key, ARGV[2] a job's id.
"""

from __future__ import annotations

# Shared by the others: what is said of a job's end, and where its entry is struck off.
_SHARED = """
local P, id = ARGV[1], ARGV[2]
local job = P .. 'job:' .. id

local function open(state) return state == 'queued' or state == 'running' end

local function strike(stream, entry)
  if stream and stream ~= '' then
    redis.call('XACK', P .. stream, P .. 'workers', entry)
    redis.call('XDEL', P .. stream, entry)
  end
  redis.call('ZREM', P .. 'later', id)
end

local function queue_in(stream)
  local entry = redis.call('XADD', P .. stream, '*', 'id', id)
  redis.call('HSET', job, 'stream', stream, 'entry', entry)
end

-- A key is kept as long as its job. Bodies are dropped, but for those of the dead, which somebody will want to see.
local function close(state, at, reason, keep_seconds)
  local row = redis.call('HMGET', job, 'stream', 'entry', 'webhook', 'owner', 'key')
  strike(row[1], row[2])
  redis.call('HSET', job, 'state', state, 'finished', at, 'reason', reason, 'stream', '', 'entry', '')
  redis.call('HINCRBY', job, 'version', 1)
  redis.call('SREM', P .. 'open', id)
  if state ~= 'dead' then redis.call('HDEL', job, 'asked') end
  if row[3] ~= '' then
    redis.call('HSET', job, 'told', 'pending')
    redis.call('ZADD', P .. 'untold', at, id)
  end
  redis.call('EXPIRE', job, keep_seconds)
  if row[5] ~= '' then redis.call('EXPIRE', P .. 'key:' .. row[4] .. ':' .. row[5], keep_seconds) end
end
"""

# Most, owner, key, digest, stream, then the fields of the hash.
PUT = (
    _SHARED
    + """
local most, owner, key, digest, stream = tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local known = P .. 'key:' .. owner .. ':' .. key
local standing = key ~= '' and redis.call('GET', known) or id
local row = redis.call('HMGET', P .. 'job:' .. standing, 'digest', 'state')
if row[1] then return {standing, row[1] == digest and 'same' or 'clash', row[2]} end
if redis.call('SCARD', P .. 'open') >= most then return {id, 'full', 'queued'} end
if key ~= '' then redis.call('SET', known, id) end
redis.call('HSET', job, unpack(ARGV, 8))
redis.call('SADD', P .. 'open', id)
redis.call('ZADD', P .. 'of:' .. owner, redis.call('INCR', P .. 'seq'), id)
redis.call('ZREMRANGEBYRANK', P .. 'of:' .. owner, 0, -100001)
queue_in(stream)
return {id, 'new', 'queued'}
"""
)

# Stream, entry, now, most attempts, keep seconds. Nil where there is nothing to run.
BEGIN = (
    _SHARED
    + """
local stream, entry, now, attempts = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local row = redis.call('HMGET', job, 'state', 'attempts', 'entry')
if not row[1] or not open(row[1]) or row[3] ~= entry then
  redis.call('XACK', P .. stream, P .. 'workers', entry)
  redis.call('XDEL', P .. stream, entry)
  return false
end
if tonumber(row[2]) >= attempts then
  close('dead', now, row[2] .. ' attempts were made, and the last ended with the death of its worker', ARGV[7])
  return false
end
redis.call('HSET', job, 'state', 'running', 'started', now)
redis.call('HINCRBY', job, 'attempts', 1)
redis.call('HINCRBY', job, 'version', 1)
return redis.call('HMGET', job, 'asked', 'at', 'owner', 'key', 'digest', 'priority', 'webhook', 'attempts')
"""
)

# Attempt, state, reason, result, at, again at ("" for an end), most attempts, keep seconds.
END = (
    _SHARED
    + """
local attempt, state, reason, result = tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6]
local row = redis.call('HMGET', job, 'state', 'attempts', 'stream', 'entry')
if not row[1] or not open(row[1]) then return end
if ARGV[8] ~= '' and attempt < tonumber(ARGV[9]) then
  if row[1] ~= 'running' or tonumber(row[2]) ~= attempt then return end
  strike(row[3], row[4])
  redis.call('HSET', job, 'state', 'queued', 'reason', reason, 'stream', '', 'entry', '')
  redis.call('HINCRBY', job, 'version', 1)
  redis.call('ZADD', P .. 'later', ARGV[8], id)
else
  redis.call('HSET', job, 'result', result)
  close(state, ARGV[7], reason, ARGV[10])
end
"""
)

# Stream: a job that was due later waits in the stream.
DUE = (
    _SHARED
    + """
if redis.call('ZREM', P .. 'later', id) == 1 and redis.call('EXISTS', job) == 1 then queue_in(ARGV[3]) end
"""
)

# Stream, entry, stream in which it waits again: as if it had not been tried.
GIVE_BACK = (
    _SHARED
    + """
local row = redis.call('HMGET', job, 'state', 'entry')
if row[1] ~= 'running' or row[2] ~= ARGV[4] then return end
strike(ARGV[3], ARGV[4])
redis.call('HSET', job, 'state', 'queued')
redis.call('HINCRBY', job, 'attempts', -1)
redis.call('HINCRBY', job, 'version', 1)
queue_in(ARGV[5])
"""
)

# Now, reason, keep seconds; returns the state before.
CANCEL = (
    _SHARED
    + """
local state = redis.call('HGET', job, 'state')
if state and open(state) then close('cancelled', ARGV[3], ARGV[4], ARGV[5]) end
return state
"""
)

# Now, until; returns the webhook and the number of the attempt.
NOTICE = (
    _SHARED
    + """
local due = redis.call('ZSCORE', P .. 'untold', id)
if not due or tonumber(due) > tonumber(ARGV[3]) then return false end
local url = redis.call('HGET', job, 'webhook')
if not url then
  redis.call('ZREM', P .. 'untold', id)
  return false
end
redis.call('ZADD', P .. 'untold', ARGV[4], id)
return {url, redis.call('HINCRBY', job, 'told_attempts', 1)}
"""
)

# Told, reason, again at ("" for an end), attempts to add.
SENT = (
    _SHARED
    + """
if redis.call('HGET', job, 'told') ~= 'pending' then return end
redis.call('HSET', job, 'told', ARGV[3], 'told_reason', ARGV[4])
redis.call('HINCRBY', job, 'told_attempts', ARGV[6])
if ARGV[5] == '' then redis.call('ZREM', P .. 'untold', id) else redis.call('ZADD', P .. 'untold', ARGV[5], id) end
"""
)

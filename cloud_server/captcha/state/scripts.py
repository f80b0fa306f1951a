"""What Redis does in one step, as Lua.

Each script begins with the gate: it does nothing for a caller who believes in another run of this server than
the one that goes on. So nothing that a restart, or a change to a replica, may have brought back is ever good:
keys of challenges, tokens and repeats carry the run in their names, and the pool is looked at by `SETTLE`.
"""

from __future__ import annotations

__all__ = [
    "CHALLENGE_GET",
    "CHALLENGE_IMAGE",
    "CHALLENGE_PUT",
    "CHALLENGE_TAKE",
    "OTHER_RUN",
    "POOL_DROP",
    "POOL_PUT",
    "POOL_TAKE",
    "SETTLE",
    "SITE_PUT",
    "SITE_REMOVE",
    "TOKEN_PUT",
    "TOKEN_TAKE",
]

OTHER_RUN = "OTHERRUN"

_GATE = """
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
if run ~= ARGV[1] then return redis.error_reply('OTHERRUN') end
"""

# KEYS pool, run of the pool; ARGV run, whether the pool outlived the restart for certain, prefix of images
SETTLE = (
    _GATE
    + """
local before = redis.call('GET', KEYS[2])
if before == run then return 0 end
local dropped = 0
if not before or ARGV[2] == '0' then
  for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    redis.call('UNLINK', ARGV[3] .. id)
    dropped = dropped + 1
  end
  redis.call('DEL', KEYS[1])
end
redis.call('SET', KEYS[2], run)
return dropped
"""
)

# KEYS pool, numbers; ARGV run, prefix of images, then image, salt, seal, length, style of each
POOL_PUT = (
    _GATE
    + """
for i = 3, #ARGV, 5 do
  local number = redis.call('INCR', KEYS[2])
  redis.call('HSET', ARGV[2] .. number, 'image', ARGV[i], 'salt', ARGV[i + 1], 'seal', ARGV[i + 2],
    'length', ARGV[i + 3], 'style', ARGV[i + 4])
  redis.call('ZADD', KEYS[1], number, number)
end
"""
)

# KEYS pool; ARGV run, prefix of images, style to keep, numbers to look at
POOL_DROP = (
    _GATE
    + """
local dropped = 0
for i = 4, #ARGV do
  local key = ARGV[2] .. ARGV[i]
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) and redis.call('HGET', key, 'style') ~= ARGV[3] then
    redis.call('ZREM', KEYS[1], ARGV[i])
    redis.call('UNLINK', key)
    dropped = dropped + 1
  end
end
return dropped
"""
)

# KEYS pool, challenge; ARGV run, prefix of images, record, expires, milliseconds to keep it
POOL_TAKE = (
    _GATE
    + """
local image
repeat
  local taken = redis.call('ZPOPMIN', KEYS[1])
  if #taken == 0 then return nil end
  image = ARGV[2] .. taken[1]
until redis.call('EXISTS', image) == 1
redis.call('RENAME', image, KEYS[2])
redis.call('HSET', KEYS[2], 'record', ARGV[3], 'expires', ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return redis.call('HMGET', KEYS[2], 'salt', 'seal', 'length')
"""
)

# KEYS challenge; ARGV run, record, expires, milliseconds
CHALLENGE_PUT = (
    _GATE
    + """
redis.call('HSET', KEYS[1], 'record', ARGV[2], 'expires', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
"""
)

_ALIVE = """
local expires = tonumber(redis.call('HGET', KEYS[1], 'expires') or '0')
if expires <= tonumber(ARGV[2]) then return nil end
"""

# KEYS challenge; ARGV run, now
CHALLENGE_GET = _GATE + _ALIVE + "return redis.call('HMGET', KEYS[1], 'record', 'salt', 'seal', 'length')"
CHALLENGE_IMAGE = _GATE + _ALIVE + "return redis.call('HGET', KEYS[1], 'image')"
CHALLENGE_TAKE = (
    _GATE
    + _ALIVE
    + """
local found = redis.call('HMGET', KEYS[1], 'record', 'salt', 'seal', 'length')
redis.call('UNLINK', KEYS[1])
return found
"""
)

# KEYS token; ARGV run, expires, milliseconds
TOKEN_PUT = _GATE + "redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])"

# KEYS token, and of a repeat its own; ARGV run, now, and of a repeat expires, milliseconds
TOKEN_TAKE = (
    _GATE
    + """
local now = tonumber(ARGV[2])
if KEYS[2] and tonumber(redis.call('GET', KEYS[2]) or '0') > now then return 1 end
if tonumber(redis.call('GET', KEYS[1]) or '0') <= now then return 0 end
redis.call('DEL', KEYS[1])
if KEYS[2] then redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4]) end
return 1
"""
)

_FORGET_SECRETS = """
local all = redis.call('HGETALL', KEYS[2])
for i = 1, #all, 2 do
  if all[i + 1] == ARGV[2] then redis.call('HDEL', KEYS[2], all[i]) end
end
"""

# KEYS sites, secrets; ARGV run, key, record, secrets
SITE_PUT = (
    _GATE
    + _FORGET_SECRETS
    + """
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
for i = 4, #ARGV do redis.call('HSET', KEYS[2], ARGV[i], ARGV[2]) end
"""
)

# KEYS sites, secrets; ARGV run, key
SITE_REMOVE = _GATE + _FORGET_SECRETS + "return redis.call('HDEL', KEYS[1], ARGV[2])"

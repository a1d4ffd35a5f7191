-- Claim the building of a list of top tweets that is not kept, or whose builder's lease has run out. Changes are
-- accepted from here on, nothing is served. KEYS: set. ARGV: token, lease_ms. Gives 'begun', 'building' or 'served'.
local set = KEYS[1]
local name = redis.call('ZRANGE', set, -1, -1)[1]
if name and string.sub(name, 1, 6) == 'floor:' then return 'served' end
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
if name then
  if tonumber(string.match(name, ':(%d+)$')) > now_ms then return 'building' end
  redis.call('ZREM', set, name)
end
redis.call('ZADD', set, '+inf', 'b:' .. ARGV[1] .. ':' .. string.format('%.0f', now_ms + ARGV[2]))
-- A set whose builder died vanishes by itself.
redis.call('PEXPIRE', set, 10 * ARGV[2])
return 'begun'

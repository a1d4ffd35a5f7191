-- Claim the building of a timeline that is not kept, or whose builder's lease has run out. Pushes are accepted from
-- here on, nothing is served. KEYS: tl. ARGV: token, lease_ms. Gives 'begun', 'building' (somebody else) or 'served'.
local tl = KEYS[1]
local name, floor = sentinel(tl)
if name == 'floor' then return 'served' end
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
if name then
  local deadline = string.match(name, ':(%d+)$')
  if tonumber(deadline) > now_ms then return 'building' end
end
local builder = 'b:' .. ARGV[1] .. ':' .. string.format('%.0f', now_ms + ARGV[2]) .. ':' .. (floor or '0')
if name then
  redis.call('LSET', tl, -1, builder)
else
  redis.call('RPUSH', tl, builder)
end
-- A list whose builder died vanishes by itself, pushes and all.
redis.call('PEXPIRE', tl, 10 * ARGV[2])
return 'begun'

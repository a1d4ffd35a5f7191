-- Put copies where the caller still holds the lease: whoever dropped a key since has taken it away.
-- KEYS: the copies. ARGV: token, life_ms, then a copy for each key. Gives how many were put.
local put = 0
for i, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then
    redis.call('SET', key, ARGV[i + 2], 'PX', ARGV[2])
    put = put + 1
  end
end
return put

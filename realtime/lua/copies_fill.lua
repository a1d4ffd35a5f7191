-- Put copies where the caller still holds the lease: whoever dropped a key since has taken it away.
-- KEYS: the copies. ARGV: token, life_ms, then a copy for each key. Gives for each key 1 if it was put, else 0.
local put = {}
for i, key in ipairs(KEYS) do
  put[i] = redis.call('GET', key) == ARGV[1] and 1 or 0
  if put[i] == 1 then
    redis.call('SET', key, ARGV[i + 2], 'PX', ARGV[2])
  end
end
return put

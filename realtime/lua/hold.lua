-- Register a worker and give it its even share of the partitions: what it holds is renewed, what is free is taken,
-- what is above the share is let go for the others. KEYS: the registry, then one lease for each partition.
-- ARGV: worker, lease_ms. Gives the indexes (from 0) of the partitions it holds until the lease ends.
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms)
redis.call('ZADD', KEYS[1], string.format('%.0f', now_ms + ARGV[2]), ARGV[1])
local share = math.ceil((#KEYS - 1) / redis.call('ZCARD', KEYS[1]))
local held = {}
for pass = 1, 2 do
  for i = 2, #KEYS do
    local owner = redis.call('GET', KEYS[i])
    if pass == 1 and owner == ARGV[1] then
      if #held < share then
        redis.call('PEXPIRE', KEYS[i], ARGV[2])
        held[#held + 1] = i - 2
      else
        redis.call('DEL', KEYS[i])
      end
    elseif pass == 2 and not owner and #held < share then
      redis.call('SET', KEYS[i], ARGV[1], 'PX', ARGV[2])
      held[#held + 1] = i - 2
    end
  end
end
return held

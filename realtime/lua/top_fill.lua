-- Put a part of what MongoDB holds into the list that this token's holder builds; with the last part, serve it.
-- What was written meanwhile is newer and stays as it is. KEYS: set, latest.
-- ARGV: token, floor ('' unless this is the last part), ttl_ms, then member and place for each tweet.
-- Gives 1, or 0 if the building was taken over or lost.
local set = KEYS[1]
local name = redis.call('ZRANGE', set, -1, -1)[1]
local mine = 'b:' .. ARGV[1] .. ':'
if not name or string.sub(name, 1, #mine) ~= mine then return 0 end
for i = 4, #ARGV, 2 do redis.call('ZADD', set, 'NX', ARGV[i + 1], ARGV[i]) end
if ARGV[2] == '' then return 1 end
redis.call('ZREM', set, name)
redis.call('ZREMRANGEBYSCORE', set, '-inf', ARGV[2])
redis.call('ZADD', set, '+inf', 'floor:' .. ARGV[2])
redis.call('PEXPIRE', set, ARGV[3])
redis.call('DEL', KEYS[2])
return 1

-- Fill the timeline that this token's holder builds and serve it. Live state from before is void.
-- KEYS: tl, on, ev. ARGV: token, kept, inactive_ms, cut, entries newest first... Gives 1, or 0 if the building was
-- taken over or lost.
local tl = KEYS[1]
local name, floor = sentinel(tl)
local mine = 'b:' .. ARGV[1] .. ':'
if not name or string.sub(name, 1, #mine) ~= mine then return 0 end
fill(tl, 'floor', floor, ARGV[4], 5)
trim(tl, tonumber(ARGV[2]))
redis.call('PEXPIRE', tl, ARGV[3])
redis.call('DEL', KEYS[2], KEYS[3])
return 1

-- GCRA (generic cell rate algorithm, ITU-T I.371) by Redis time. KEYS: the budget. ARGV: period_us of one unit, burst,
-- how many units; a negative number gives units back.
-- Gives {0, arrival} when they are admitted, else {the microseconds until they would be, arrival}: `arrival` says in how
-- many microseconds the budget will be full again.
local now = redis.call('TIME')
local now_us = now[1] * 1000000 + now[2]
local period, burst, units = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now_us)
local wait = arrival - now_us - period * (burst - units)
if units > 0 and wait > 0 then return {math.ceil(wait), math.ceil(arrival - now_us)} end
local next_arrival = arrival + period * units
if next_arrival <= now_us then
  redis.call('DEL', KEYS[1])
  return {0, 0}
end
redis.call('SET', KEYS[1], string.format('%.0f', next_arrival), 'PX', math.ceil((next_arrival - now_us) / 1000))
return {0, math.ceil(next_arrival - now_us)}

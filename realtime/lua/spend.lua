-- GCRA (generic cell rate algorithm, ITU-T I.371) by Redis time. KEYS: the budget. ARGV: period_us of one call, burst.
-- Gives 0 when the call is admitted, else the microseconds until the next one would be.
local now = redis.call('TIME')
local now_us = now[1] * 1000000 + now[2]
local period, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now_us)
local wait = arrival - now_us - period * (burst - 1)
if wait > 0 then return math.ceil(wait) end
local next_arrival = arrival + period
redis.call('SET', KEYS[1], string.format('%.0f', next_arrival), 'PX', math.ceil((next_arrival - now_us) / 1000))
return 0

-- Append relayed events, unless this is not the data set that the relay filled (a flush, an empty restart): then
-- nothing may overtake what was lost. KEYS: the mark, then the event streams in order of partition. ARGV: the mark's
-- value, then six for each entry: partition, e, b, s, o, at. Gives the stream ids in order, or nil if the mark is gone.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return nil end
local stream_ids = {}
for i = 2, #ARGV, 6 do
  stream_ids[#stream_ids + 1] = redis.call('XADD', KEYS[ARGV[i] + 2], '*', 'e', ARGV[i + 1], 'b', ARGV[i + 2],
    's', ARGV[i + 3], 'o', ARGV[i + 4], 'at', ARGV[i + 5])
end
return stream_ids

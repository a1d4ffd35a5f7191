-- Copies of records, and for those that are missing the right to make one: a lease under the caller's token.
-- KEYS: the copies. ARGV: token, lease_ms. Gives for each key the copy, '' if the lease is now the caller's, or '-' if it
-- is somebody else's. A lease never begins with '[', a copy always does.
local found = redis.call('MGET', unpack(KEYS))
for i, copy in ipairs(found) do
  if not copy then
    redis.call('SET', KEYS[i], ARGV[1], 'PX', ARGV[2])
    found[i] = ''
  elseif string.sub(copy, 1, 1) ~= '[' then
    found[i] = '-'
  end
end
return found

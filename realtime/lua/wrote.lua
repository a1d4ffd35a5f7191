-- Which of some people have just changed something. KEYS: their marks. Gives for each 1 if it is there, else 0.
local found = {}
for i, mark in ipairs(KEYS) do found[i] = redis.call('EXISTS', mark) end
return found

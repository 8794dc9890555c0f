-- Returns how many tasks there are, and how many milliseconds the first one has been due, 0 when none is.
local first = call('ZRANGE', due, 0, 0, 'WITHSCORES')
return {call('ZCARD', due), tostring(first[2] and math.max(0, now - first[2]) or 0)}

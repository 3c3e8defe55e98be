#!/usr/bin/env node
console.log('lakeflow')
